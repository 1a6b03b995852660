package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kithgraph/kith/internal/failpoint"
)

const (
	highWaterName    = "HIGHWATER"
	highWaterMagic   = "KITHHWM1"
	highWaterVersion = 1
	// slotBytes is the size of one of the two slots: header and 500 groups fit.
	slotBytes       = 16 << 10
	slotHeaderBytes = 24
	slotMarkBytes   = 28
	slotSumBytes    = 4
	maxMarks        = (slotBytes - slotHeaderBytes - slotSumBytes) / slotMarkBytes
)

// mark is what a group's log store is known to have made durable: its last
// index, its current term and the term of its last vote.
type mark struct {
	index, term, voteTerm uint64
}

// highWater keeps the marks of all groups in a side file, because Pebble takes
// a damaged chunk of its write-ahead log for the log's end and would silently
// forget synced entries. Two slots are written in turn, each with a sequence
// number and a checksum, so that a torn write leaves the other one.
//
// Marks move after the log's sync and before the caller hears of success: a
// mark never promises what was not durable. They are lowered before entries are
// deleted on purpose, but never by a log that is behind its mark: what such a log
// deletes is not what was promised.
type highWater struct {
	dir  string
	file vfs.File

	// writing is held by whoever writes the file. It is a channel because it is
	// held across I/O. It guards sequence and the done and err of rounds.
	writing  chan struct{}
	sequence uint64

	mu struct {
		sync.Mutex
		marks map[uint32]mark
		round *markRound // gathers the changes that the next write carries
	}
}

// markRound is a group commit: all changes that one write makes durable.
type markRound struct {
	done bool
	err  error
}

func newHighWater(dir string, file vfs.File) *highWater {
	h := &highWater{dir: dir, file: file, writing: make(chan struct{}, 1)}
	h.mu.marks = make(map[uint32]mark)
	h.mu.round = &markRound{}
	return h
}

// createHighWater makes a side file without marks. It gets its name when it is
// whole and synced: a crash before leaves none, and the next start makes another.
func createHighWater(fs vfs.FS, dir string) (*highWater, error) {
	path := fs.PathJoin(dir, highWaterName)
	unfinished := path + ".new"
	f, err := fs.Create(unfinished, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	content := make([]byte, 2*slotBytes)
	for slot := range 2 { // sequences 2 and 1
		copy(content[slot*slotBytes:], encodeSlot(2-uint64(slot), nil))
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := errors.Join(fs.Rename(unfinished, path), syncDir(fs, dir)); err != nil {
		return nil, err
	}
	return openHighWater(fs, dir)
}

// openHighWater reads the side file. A missing one is os.ErrNotExist.
func openHighWater(fs vfs.FS, dir string) (*highWater, error) {
	path := fs.PathJoin(dir, highWaterName)
	if _, err := fs.Stat(path); err != nil {
		return nil, err
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	h := newHighWater(dir, f)
	if err := h.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return h, nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read takes the newer of the slots that are whole. A slot of an unknown version
// was written by a newer program, and the other one may be long out of date.
func (h *highWater) read() error {
	var failures []error
	for slot := range int64(2) {
		buf := make([]byte, slotBytes)
		n, err := h.file.ReadAt(buf, slot*slotBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		sequence, marks, err := decodeSlot(buf[:n])
		if errors.Is(err, ErrUnknownVersion) {
			return fmt.Errorf("slot %d: %w", slot, err)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("slot %d: %w", slot, err))
			continue
		}
		if sequence >= h.sequence {
			h.sequence, h.mu.marks = sequence, marks
		}
	}
	if len(failures) == 2 {
		return errors.Join(failures...)
	}
	return nil
}

// get returns the mark of a group, zero if it has none.
func (h *highWater) get(group uint32) mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.marks[group]
}

// update changes the mark of a group and returns when it is durable. Callers
// that come while another writes share the next write.
func (h *highWater) update(group uint32, change func(*mark)) error {
	h.mu.Lock()
	old := h.mu.marks[group]
	m := old
	change(&m)
	if len(h.mu.marks) >= maxMarks && old == (mark{}) {
		h.mu.Unlock()
		return fmt.Errorf("%w: more than %d groups", ErrOptions, maxMarks)
	}
	h.mu.marks[group] = m
	r := h.mu.round
	h.mu.Unlock()

	h.writing <- struct{}{}
	defer func() { <-h.writing }()
	if r.done {
		return r.err
	}
	r.err = h.write()
	r.done = true
	failpoint.Hit("raftfsm/high-water-written")
	return r.err
}

// write makes all marks durable and begins a new round. The caller holds writing.
func (h *highWater) write() error {
	h.mu.Lock()
	slot := encodeSlot(h.sequence+1, h.mu.marks)
	h.mu.round = &markRound{}
	h.mu.Unlock()
	h.sequence++
	if _, err := h.file.WriteAt(slot, int64(h.sequence%2)*slotBytes); err != nil {
		return err
	}
	return h.file.SyncData()
}

func (h *highWater) close() error { return h.file.Close() }

// encodeSlot and decodeSlot are specified in FORMATS.md.
func encodeSlot(sequence uint64, marks map[uint32]mark) []byte {
	b := make([]byte, 0, slotHeaderBytes+len(marks)*slotMarkBytes+slotSumBytes)
	b = append(b, highWaterMagic...)
	b = binary.LittleEndian.AppendUint32(b, highWaterVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(marks)))
	b = binary.LittleEndian.AppendUint64(b, sequence)
	for _, g := range sortedKeys(marks) {
		m := marks[g]
		b = binary.LittleEndian.AppendUint32(b, g)
		b = binary.LittleEndian.AppendUint64(b, m.index)
		b = binary.LittleEndian.AppendUint64(b, m.term)
		b = binary.LittleEndian.AppendUint64(b, m.voteTerm)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

func decodeSlot(b []byte) (sequence uint64, marks map[uint32]mark, err error) {
	if len(b) < slotHeaderBytes+slotSumBytes {
		return 0, nil, ErrTruncated
	}
	if string(b[:8]) != highWaterMagic {
		return 0, nil, fmt.Errorf("%w: bad magic", ErrCorrupt)
	}
	r := reader{b: b[8:]}
	version, count := r.u32(), int(r.u32())
	if version != highWaterVersion {
		return 0, nil, fmt.Errorf("%w: %d, known is %d", ErrUnknownVersion, version, highWaterVersion)
	}
	if count > maxMarks {
		return 0, nil, fmt.Errorf("%w: %d groups", ErrCorrupt, count)
	}
	size := slotHeaderBytes + count*slotMarkBytes
	if len(b) < size+slotSumBytes {
		return 0, nil, ErrTruncated
	}
	if crc32.Checksum(b[:size], castagnoli()) != binary.LittleEndian.Uint32(b[size:]) {
		return 0, nil, fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	sequence = r.u64()
	marks = make(map[uint32]mark, count)
	for range count {
		g := r.u32()
		marks[g] = mark{index: r.u64(), term: r.u64(), voteTerm: r.u64()}
	}
	return sequence, marks, nil
}

// openOrCreateHighWater opens the side file, or makes it if there are no stores yet.
func openOrCreateHighWater(fs vfs.FS, dir string, storesExist bool) (*highWater, error) {
	h, err := openHighWater(fs, dir)
	if !errors.Is(err, os.ErrNotExist) {
		return h, err
	}
	if storesExist {
		return nil, fmt.Errorf("%w: %s has stores but no %s file: restore the file or the whole folder from a backup",
			ErrCorrupt, dir, highWaterName)
	}
	return createHighWater(fs, dir)
}
