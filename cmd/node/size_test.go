package main

import "testing"

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "9223372036854775807": 1<<63 - 1, "3KiB": 3 << 10, "512MiB": 512 << 20, "2GiB": 2 << 30, "8388607TiB": 8388607 << 40,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1.5GiB", "MiB", "1 MiB", "1mib", "1MB", "9223372036854775808", "8388608TiB", "1KiBMiB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}
