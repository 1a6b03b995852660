package shard

import (
	"errors"
	"slices"
	"testing"
)

func TestLoneMapHoldsEverything(t *testing.T) {
	l := mustLayout(t, 4)
	m := LoneMap(l, Node{ID: "a"})
	if err := m.Validate(l); err != nil {
		t.Fatal(err)
	}
	for s := range ID(4) {
		if got := m.NodesOf(s); !slices.Equal(got, []string{"a"}) {
			t.Errorf("shard %d is on %q", s, got)
		}
	}
}

func TestMapValidate(t *testing.T) {
	l := mustLayout(t, 2)
	nodes := []Node{{ID: "a"}, {ID: "b"}}
	for name, replicas := range map[string][][]int{
		"too few shards":   {{0}},
		"too many shards":  {{0}, {0}, {0}},
		"a shard nowhere":  {{0}, {}},
		"an unknown node":  {{0}, {2}},
		"a negative node":  {{0}, {-1}},
		"the same twice":   {{0}, {1, 1}},
		"no shards at all": nil,
	} {
		if err := (&Map{Nodes: nodes, Replicas: replicas}).Validate(l); !errors.Is(err, ErrMap) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := &Map{Nodes: nodes, Replicas: [][]int{{0, 1}, {1}}}
	if err := good.Validate(l); err != nil {
		t.Error(err)
	}
	if got := good.NodesOf(0); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("shard 0 is on %q", got)
	}
}
