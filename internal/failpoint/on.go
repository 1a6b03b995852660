//go:build failpoint

package failpoint

import (
	"slices"
	"sync"
)

// points is the one global of the project: a fail point is reached from
// everywhere, and exists in test builds only.
var points struct {
	sync.Mutex
	actions map[string]func()
	hits    map[string]int
}

// Hit calls the action set for the name, if any, on the caller's goroutine.
func Hit(name string) {
	points.Lock()
	if points.hits == nil {
		points.hits = make(map[string]int)
	}
	points.hits[name]++
	action := points.actions[name]
	points.Unlock()
	if action != nil {
		action()
	}
}

// Set makes Hit(name) call action until Clear.
func Set(name string, action func()) {
	points.Lock()
	defer points.Unlock()
	if points.actions == nil {
		points.actions = make(map[string]func())
	}
	points.actions[name] = action
}

// Clear removes all actions and forgets which names were hit.
func Clear() {
	points.Lock()
	defer points.Unlock()
	points.actions, points.hits = nil, nil
}

// Names returns the names hit since the last Clear, sorted.
func Names() []string {
	points.Lock()
	defer points.Unlock()
	names := make([]string, 0, len(points.hits))
	for name := range points.hits {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
