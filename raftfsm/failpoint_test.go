//go:build failpoint

package raftfsm

import (
	"slices"
	"testing"

	"github.com/kithgraph/kith/internal/failpoint"
)

// points are all fail points of this package that a lone node comes by.
func points() []string {
	return []string{
		"raftfsm/freeze", "raftfsm/high-water-written", "raftfsm/log-store", "raftfsm/log-synced", "raftfsm/log-truncate",
		"raftfsm/log-truncated", "raftfsm/state-commit", "raftfsm/state-synced",
	}
}

func TestPowerLossAtEveryFailPoint(t *testing.T) {
	t.Cleanup(failpoint.Clear)
	rig := newCrashRig(t, 2)
	for _, name := range points() {
		failpoint.Set(name, rig.hit)
		reached := 0
		for nth := range 4 { // the nth time that it is passed
			if rig.round(t, 1+nth, false, 30) {
				reached++
			}
			if t.Failed() {
				return
			}
		}
		if reached == 0 {
			t.Errorf("%s was not reached", name)
		}
		failpoint.Set(name, func() {})
	}
	for _, name := range points() {
		if !slices.Contains(failpoint.Names(), name) {
			t.Errorf("%s was never hit", name)
		}
	}
}
