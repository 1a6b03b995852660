package wire

import (
	"strings"
	"testing"
)

func TestEveryCodeHasItsOwnName(t *testing.T) {
	seen := map[string]Code{}
	for _, c := range Codes() {
		name := c.String()
		if other, twice := seen[name]; twice || name == "" || strings.HasPrefix(name, "code_") {
			t.Errorf("code %d is called %q, as code %d", c, name, other)
		}
		seen[name] = c
	}
	if Code(codeCount-1) != NotLeader {
		t.Errorf("the last code is %v", Code(codeCount-1))
	}
}

func TestUnknownCode(t *testing.T) {
	c := Code(63)
	if _, ok := c.REST(); ok || c.SafeToRetry() || c.String() != "code_63" {
		t.Errorf("%v: safe to retry %v", c, c.SafeToRetry())
	}
}

func TestResultsHoldCodes(t *testing.T) {
	for _, c := range Codes() {
		for _, unchanged := range []bool{false, true} {
			if r := MakeEdgeResult(c, unchanged); r.Code() != c || r.Unchanged() != unchanged {
				t.Errorf("%v, %v became %v, %v", c, unchanged, r.Code(), r.Unchanged())
			}
		}
		if r := CheckRefused(c); r.Code() != c || r.FollowType() != FollowTypeNone {
			t.Errorf("%v became %v, %v", c, r.Code(), r.FollowType())
		}
	}
	for ft := FollowTypeNone; ft <= FollowTypeMutual; ft++ {
		if r := CheckResult(ft); r.Code() != OK || r.FollowType() != ft {
			t.Errorf("type %d became %v, %v", ft, r.Code(), r.FollowType())
		}
	}
}

func TestExportEndIsDone(t *testing.T) {
	if !ExportEnd().Done() || (ExportPosition{}).Done() || (ExportPosition{Shard: MaxStatusShards}).Done() {
		t.Error("only the end of an export is its end")
	}
}
