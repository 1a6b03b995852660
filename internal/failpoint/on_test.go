//go:build failpoint

package failpoint

import (
	"slices"
	"testing"
)

func TestHitCallsActionUntilClear(t *testing.T) {
	t.Cleanup(Clear)
	calls := 0
	Set("a/step", func() { calls++ })
	Hit("a/step")
	Hit("a/other")
	if calls != 1 {
		t.Errorf("the action was called %d times, not once", calls)
	}
	if got := Names(); !slices.Equal(got, []string{"a/other", "a/step"}) {
		t.Errorf("names hit: %q", got)
	}
	Clear()
	Hit("a/step")
	if calls != 1 {
		t.Error("a cleared action was called")
	}
}
