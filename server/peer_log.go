package server

import (
	"log/slog"
	"sync"
	"time"
)

const (
	rareLogLines  = 10
	rareLogPeriod = 10 * time.Second
)

// rareLog writes what strangers can provoke: at most rareLogLines lines in each
// rareLogPeriod. The first line of the next period says how many were left out.
// Safe for concurrent use.
type rareLog struct {
	log *slog.Logger
	now func() time.Time

	mu struct {
		sync.Mutex
		since   time.Time
		lines   int
		leftOut int
	}
}

func (r *rareLog) warn(message string, args ...any) {
	if leftOut, ok := r.admit(); ok {
		if leftOut > 0 {
			args = append(args, "similar_left_out", leftOut)
		}
		r.log.Warn(message, args...)
	}
}

// admit counts a line, and tells whether it is to be written and how many were
// not before it.
func (r *rareLog) admit() (leftOut int, ok bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.mu.since); age < 0 || age >= rareLogPeriod { // a clock may be set back
		leftOut = r.mu.leftOut
		r.mu.since, r.mu.lines, r.mu.leftOut = now, 0, 0
	}
	if r.mu.lines >= rareLogLines {
		r.mu.leftOut++
		return 0, false
	}
	r.mu.lines++
	return leftOut, true
}
