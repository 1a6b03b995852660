package edgelist

import (
	"errors"
	"fmt"
)

// Reasons for which a line is refused; a *LineError wraps one of them or an
// error of shard.CheckUserID.
var (
	// ErrTooFewColumns is the reason of a line with one column.
	ErrTooFewColumns = errors.New("one column where follower and followee are wanted, separated by a blank or a tab")
	// ErrTooManyColumns is the reason of a line with more than three columns.
	ErrTooManyColumns = errors.New("more than three columns; ids with blanks need tabs between follower, followee and time")
	// ErrTime is the reason of a line whose third column is no time.
	ErrTime = errors.New("the third column is not a time in seconds since 1970")
	// ErrLineTooLong is the reason of a line over Options.MaxLineBytes.
	ErrLineTooLong = errors.New("the line is too long")
)

// ErrCompression is returned for gzip or Zstandard input that is damaged, cut
// off, or asks for more memory than a reader gives.
var ErrCompression = errors.New("the compressed input is damaged or cut off")

// LineError is a line that was not understood. Reading may go on behind it.
type LineError struct {
	Line uint64 // 1 for the first line of the input
	Text string // the line, without its end, cut at Options.MaxLineBytes
	Err  error  // the reason
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }
