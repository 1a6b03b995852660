package wire

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestLargestStatusFits(t *testing.T) {
	const m = math.MaxUint64
	name := strings.Repeat("n", 64)
	s := Status{ClusterID: name, NodeID: name, Version: name, UptimeSeconds: math.MaxInt64, Users: m, Follows: m}
	for range MaxStatusShards {
		s.Shards = append(s.Shards, ShardStatus{
			Shard: math.MaxUint16, LeaderID: name, Term: m, Applied: m, Commit: m, LogFirst: m, LogLast: m, Snapshot: m,
			Users: m, Follows: m, Outbox: m, GraphBytes: m,
		})
	}
	var got Status
	if err := got.Decode(s.Append(nil)); err != nil || len(got.Shards) != MaxStatusShards {
		t.Errorf("%d shards: %v", len(got.Shards), err)
	}
}

func TestStatusIsBounded(t *testing.T) {
	var limit *LimitError
	shards := `{"shards":[` + strings.Repeat(`{},`, MaxStatusShards) + `{}]}`
	if err := new(Status).Decode([]byte(shards)); !errors.As(err, &limit) || limit.Limit != MaxStatusShards {
		t.Errorf("one shard too many: %v", err)
	}
	if err := new(Status).Decode([]byte(`{}` + strings.Repeat(" ", MaxStatusBytes))); !errors.As(err, &limit) {
		t.Errorf("a long status: %v", err)
	}
}

func TestStatusTakesUnknownFieldsAndNoOtherShapes(t *testing.T) {
	got := Status{NodeID: "stale"}
	if err := got.Decode([]byte(`{"version":"9","planets":[1],"shards":null}`)); err != nil || got.Version != "9" || got.NodeID != "" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "[]", `{"shards":7}`, `{"shards":[7]}`, `{"shards":[{}`, "{}{}"} {
		if err := new(Status).Decode([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
