package server

// list is a doubly linked list of writes' waits, in the order of their arrival.
// Its nodes are part of the writes, so that entering and leaving cost neither an
// allocation nor a search. The owner of a list guards it and its nodes by a lock.
type list[T any] struct {
	head, tail *node[T]
}

// node is a place in one list, once in its life: a wait that is over before it
// begins never begins.
type node[T any] struct {
	value      T
	prev, next *node[T]
	state      nodeState
}

type nodeState uint8

const (
	nodeNew nodeState = iota
	nodeListed
	nodeGone
)

// push appends a node that is new, and says whether it was.
func (l *list[T]) push(n *node[T]) bool {
	if n.state != nodeNew {
		return false
	}
	n.state, n.prev = nodeListed, l.tail
	if n.prev == nil {
		l.head = n
	} else {
		n.prev.next = n
	}
	l.tail = n
	return true
}

// remove takes a node out, or keeps it from ever getting in. It says whether the
// node was in the list.
func (l *list[T]) remove(n *node[T]) bool {
	listed := n.state == nodeListed
	n.state = nodeGone
	if !listed {
		return false
	}
	if n.prev == nil {
		l.head = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.tail = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.prev, n.next = nil, nil
	return true
}
