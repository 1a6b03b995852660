package wire

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// TestLargestStatusFits fills every field with the largest value that a cluster
// can come to: three replicas whose ids are as long as nodes make them, a million
// log entries a second for 30 years, 2^32 users, and memory of 2^47 bytes.
func TestLargestStatusFits(t *testing.T) {
	const m, index, users = math.MaxUint64, 1e15, math.MaxUint32
	name := strings.Repeat("n", 64)
	id := "node-0123456789abcdef"
	s := Status{ClusterID: name, NodeID: name, Version: name, UptimeSeconds: math.MaxInt64, Users: m, Follows: m,
		Disk: &DiskStatus{m, m}, WritesRefused: strings.Repeat("w", MaxTextBytes)}
	for range MaxStatusShards {
		s.Shards = append(s.Shards, ShardStatus{
			Shard: MaxStatusShards - 1, Replicas: []string{id, id, id}, LeaderID: id,
			Term: index, Applied: index, Commit: index, LogFirst: index, LogLast: index, Snapshot: index,
			Users: users, Follows: users * 5000, Outbox: users,
			Queued: math.MaxInt32, InFlight: 64, Waiting: math.MaxInt32, GraphBytes: 1 << 47,
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
