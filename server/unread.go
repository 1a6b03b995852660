package server

import "sync"

// unreadMemory bounds what all connections hold while they wait for their clients
// to read. A connection that sends is counted for as long as that takes; when all
// of them hold too much the one whose client has taken nothing for longest ends.
// So a client that reads is not hurt by those that do not. Safe for concurrent use.
type unreadMemory struct {
	sizeBytes int64

	mu struct {
		sync.Mutex
		held           int64     // by all that are listed
		oldest, newest *unreader // list of those that hold something, by their last progress
	}
}

// unreader is one connection's part. unreadMemory's lock guards all but end.
type unreader struct {
	end func() // closes the connection; it does not block

	bytes        int
	listed       bool
	over         bool // it was told to end
	older, newer *unreader
}

// hold counts n more bytes, or fewer when n is negative. That something was let go
// is progress.
func (m *unreadMemory) hold(u *unreader, n int) {
	var ended []*unreader
	m.mu.Lock()
	if n > 0 && u.listed {
		u.bytes += n
		m.mu.held += int64(n)
	} else {
		m.unlist(u)
		u.bytes += n
		m.list(u)
	}
	for m.mu.held > m.sizeBytes {
		oldest := m.mu.oldest
		m.unlist(oldest)
		oldest.over = true
		ended = append(ended, oldest)
	}
	m.mu.Unlock()
	for _, u := range ended {
		u.end()
	}
}

// progress notes that the client has taken something.
func (m *unreadMemory) progress(u *unreader) {
	m.mu.Lock()
	m.unlist(u)
	m.list(u)
	m.mu.Unlock()
}

// list makes u the newest, if it holds something. The caller holds mu.
func (m *unreadMemory) list(u *unreader) {
	if u.over || u.bytes <= 0 {
		return
	}
	u.listed = true
	m.mu.held += int64(u.bytes)
	u.older = m.mu.newest
	if u.older != nil {
		u.older.newer = u
	} else {
		m.mu.oldest = u
	}
	m.mu.newest = u
}

// unlist takes u out, if it is in. The caller holds mu.
func (m *unreadMemory) unlist(u *unreader) {
	if !u.listed {
		return
	}
	u.listed = false
	m.mu.held -= int64(u.bytes)
	if u.older != nil {
		u.older.newer = u.newer
	} else {
		m.mu.oldest = u.newer
	}
	if u.newer != nil {
		u.newer.older = u.older
	} else {
		m.mu.newest = u.older
	}
	u.older, u.newer = nil, nil
}
