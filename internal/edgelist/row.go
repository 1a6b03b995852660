package edgelist

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/kithgraph/kith/shard"
)

// Row is one follow. Its ids alias the reader's buffer and are valid until the
// next call of Next.
type Row struct {
	Line     uint64 // 1 for the first line of the input
	Follower []byte
	Followee []byte
	Time     uint32 // seconds since 1970 UTC, 0 when the line gives none
}

const (
	blanks        = " \t"
	byteOrderMark = "\ufeff"
)

// AppendRow appends a line, with its end, that reads back as exactly this
// follow. Both ids must satisfy shard.CheckUserID.
func AppendRow(dst, follower, followee []byte, time uint32) []byte {
	if follower[0] == '#' || bytes.HasPrefix(follower, []byte(byteOrderMark)) {
		dst = append(dst, '\t')
	}
	dst = append(dst, follower...)
	dst = append(dst, '\t')
	dst = append(dst, followee...)
	dst = append(dst, '\t')
	dst = strconv.AppendUint(dst, uint64(time), 10)
	return append(dst, '\n')
}

// parse takes one line, without its end, apart. A row without a follower is a
// comment or an empty line.
func parse(line []byte) (Row, error) {
	if len(line) == 0 || line[0] == '#' {
		return Row{}, nil
	}
	follower, followee, time, ok := exactColumns(line)
	if !ok {
		var columns [3][]byte
		n, err := looseColumns(line, &columns)
		if n == 0 || columns[0][0] == '#' {
			return Row{}, nil
		}
		if err != nil {
			return Row{}, err
		}
		follower, followee, time = columns[0], columns[1], columns[2]
	}
	return check(follower, followee, time)
}

// exactColumns splits a line of the exact form and tells whether it has it.
func exactColumns(line []byte) (follower, followee, time []byte, ok bool) {
	if line[0] == '\t' {
		line = line[1:]
	}
	follower, rest, _ := bytes.Cut(line, []byte{'\t'})
	followee, time, _ = bytes.Cut(rest, []byte{'\t'})
	return follower, followee, time, len(follower) > 0 && len(followee) > 0 && isDigits(time)
}

// looseColumns splits at runs of blanks and tabs and returns the number of
// columns; it looks no further than the fourth.
func looseColumns(line []byte, columns *[3][]byte) (n int, err error) {
	for {
		line = bytes.TrimLeft(line, blanks)
		switch {
		case len(line) == 0 && n == 1:
			return n, ErrTooFewColumns
		case len(line) == 0:
			return n, nil
		case n == len(columns):
			return n, ErrTooManyColumns
		}
		end := bytes.IndexAny(line, blanks)
		if end < 0 {
			end = len(line)
		}
		columns[n], line = line[:end], line[end:]
		n++
	}
}

func check(follower, followee, time []byte) (Row, error) {
	if err := shard.CheckUserID(follower); err != nil {
		return Row{}, fmt.Errorf("follower: %w", err)
	}
	if err := shard.CheckUserID(followee); err != nil {
		return Row{}, fmt.Errorf("followee: %w", err)
	}
	row := Row{Follower: follower, Followee: followee}
	if len(time) == 0 {
		return row, nil
	}
	if !isDigits(time) {
		return Row{}, ErrTime
	}
	for _, digit := range time {
		seconds := uint64(row.Time)*10 + uint64(digit-'0')
		if seconds > math.MaxUint32 {
			return Row{}, fmt.Errorf("%w: it is over %d, the year 2106; milliseconds?", ErrTime, uint32(math.MaxUint32))
		}
		row.Time = uint32(seconds)
	}
	return row, nil
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
