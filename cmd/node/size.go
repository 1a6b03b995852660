package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// parseSize reads a number of bytes as people write it: 500000000, 512MiB, 2GiB.
func parseSize(text string) (int64, error) {
	unit := int64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = number, 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return 0, errors.New("not a size: give bytes, or a whole number with KiB, MiB, GiB or TiB, as 512MiB")
	}
	return int64(n) * unit, nil
}
