package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a long command is. Without a terminal it shows nothing.
// It belongs to one goroutine, but for the function that it asks.
type progress struct {
	stop func()
}

const progressInterval = 100 * time.Millisecond

// unit is what progress is measured in.
type unit bool

const (
	inBytes   unit = true
	inFollows unit = false
)

// newProgress shows a bar that asks position until stop is called: how much of
// total (0 or less when it is not known) is done, and what to say of it.
func newProgress(e *env, total int64, of unit, position func() (done int64, note string)) *progress {
	if !e.stderrTerminal {
		return &progress{stop: func() {}}
	}
	if total <= 0 {
		total = -1 // the bar's word for it
	}
	bar := newBar(e.stderr, total, of)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			at, note := position()
			bar.Describe(note)
			if total > 0 {
				at = min(at, total-1) // at its total the bar would end itself
			}
			_ = bar.Set64(at) // a terminal that is gone ends the command by other means
			select {
			case <-tick.C:
			case <-quit:
				_ = bar.Clear()
				return
			}
		}
	}()
	return &progress{stop: sync.OnceFunc(func() {
		close(quit)
		<-done
	})}
}

func newBar(w io.Writer, total int64, of unit) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionShowBytes(of == inBytes),
		progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(progressInterval/2),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetSpinnerChangeInterval(0), // no goroutine of its own
		progressbar.OptionClearOnFinish(),
	)
}

// perSecond writes a rate of things a second.
func perSecond(n uint64, since time.Duration) string {
	if since < time.Second/10 {
		return ""
	}
	return fmt.Sprintf("%.0f/s", float64(n)/since.Seconds())
}
