package raftfsm

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// storeVersion is the version of the keys and values of both Pebbles.
const storeVersion = 1

// versionKey is the key under which a store keeps its version. It sorts first.
const versionKey = "\x00version"

// maxMemTables is how many memtables a store has at most: one that is written to,
// and those that are still to be flushed.
const maxMemTables = 4

// castagnoli returns the CRC-32C table, which the standard library makes once.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// pebbleOptions are what the log's and the state's Pebble have in common: the
// newest format, whose write-ahead log can tell a damaged middle from its end;
// no compression, because entries live briefly and the state is packed already;
// and our own logger.
func pebbleOptions(fs vfs.FS, b *breaker, memTableBytes uint64) *pebble.Options {
	o := &pebble.Options{
		FS:                          manifestFS{fs},
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: maxMemTables,
		Logger:                      pebbleLogger{logger: b.logger, b: b},
		EventListener:               &pebble.EventListener{BackgroundError: b.background},
		BytesPerSync:                1 << 20,
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	return o
}

// openPebble opens a store, or creates it. A new store is closed and opened
// again once, because the first write-ahead log that Pebble makes lacks the sync
// offsets by which it later tells damage from the log's end.
func openPebble(dir string, options func() *pebble.Options) (*pebble.DB, error) {
	db, err := pebble.Open(dir, options())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	fresh, err := checkStoreVersion(db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", dir, err), db.Close())
	}
	if !fresh {
		return db, nil
	}
	if err := db.Close(); err != nil {
		return nil, fmt.Errorf("close new %s: %w", dir, err)
	}
	if db, err = pebble.Open(dir, options()); err != nil {
		return nil, fmt.Errorf("reopen new %s: %w", dir, err)
	}
	if err := db.Set([]byte(versionKey), []byte{storeVersion}, pebble.Sync); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkStoreVersion says whether the store is still empty.
func checkStoreVersion(db *pebble.DB) (fresh bool, err error) {
	v, closer, err := db.Get([]byte(versionKey))
	if errors.Is(err, pebble.ErrNotFound) {
		return true, checkEmpty(db)
	}
	if err != nil {
		return false, err
	}
	defer closer.Close()
	if len(v) != 1 {
		return false, fmt.Errorf("%w: the version has %d bytes", ErrCorrupt, len(v))
	}
	if v[0] != storeVersion {
		return false, fmt.Errorf("%w: store of version %d, known is %d", ErrUnknownVersion, v[0], storeVersion)
	}
	return false, nil
}

// checkEmpty returns an error if a store without a version holds anything.
func checkEmpty(db *pebble.DB) (err error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if it.First() {
		return fmt.Errorf("%w: the store has keys but no version", ErrCorrupt)
	}
	return it.Error()
}
