package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// After a failure the process ends soon, even if the disk never answers; told to
// stop by a signal it waits for the shutdown.
func TestFailureDoesNotWaitForAHungShutdown(t *testing.T) {
	for name, tc := range map[string]struct {
		because  error
		patience time.Duration
		hangs    time.Duration
		want     time.Duration
	}{
		"failure":           {io.ErrUnexpectedEOF, 30 * time.Second, time.Hour, fatalPatience},
		"impatient failure": {io.ErrUnexpectedEOF, time.Second, time.Hour, time.Second},
		"quick failure":     {io.ErrUnexpectedEOF, time.Second, 0, 0},
		"signal":            {nil, time.Second, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &node{}
				begin := time.Now()
				err := n.stop(func(context.Context) error {
					<-time.After(tc.hangs)
					return nil
				}, tc.because, tc.patience, slog.New(slog.DiscardHandler))
				if took := time.Since(begin); took != tc.want || !errors.Is(err, tc.because) {
					t.Errorf("%v after %s, not after %s", err, took, tc.want)
				}
				<-time.After(tc.hangs) // the bubble outlives what was left behind
			})
		})
	}
}

func TestOnlyASocketIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := listenUnix(path); err == nil {
		t.Error("listens on a file", l.Close())
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file is now %q, %v", text, err)
	}
	if l, err := listenUnix(""); err == nil {
		t.Error("listens without a path", l.Close())
	}
}
