package names

import (
	"encoding/binary"
	"unsafe"
)

const (
	// MaxIDBytes is the longest id that a Table takes.
	MaxIDBytes = 255

	blockNames = 16                      // names that share one offset
	blockBytes = blockNames * MaxIDBytes // the most that a block's names can take
	pageBlocks = 256                     // blocks in a page: 5 KiB for 4,096 names

	unitBits      = 3  // a block starts at a multiple of 8 bytes
	chunkBits     = 18 // a full chunk has 256 KiB
	chunkMinBytes = 8 << 10
	chunkMaxBytes = 1 << chunkBits
	chunkUnitBits = chunkBits - unitBits
	maxChunks     = 1 << (32 - chunkUnitBits) // 32 GiB of names
)

// block locates the bytes of 16 names of consecutive numbers: where the first one
// starts, and how long each is. They lie one after another in one chunk.
type block struct {
	start   uint32 // chunk number << chunkUnitBits | offset in units
	lengths [blockNames]uint8
}

// arena keeps the bytes of all names, in chunks that never move. Chunks begin
// small, for a cluster of many shards has many small tables, and double up to
// chunkMaxBytes.
type arena struct {
	count  uint32
	pages  []*[pageBlocks]block
	chunks [][]byte
	used   int // bytes taken in the last chunk
}

// add appends a name under the next number. It reports false when the arena's
// address space is used up.
func (a *arena) add(id []byte) bool {
	i := a.count % blockNames
	if i == 0 && !a.startBlock() {
		return false
	}
	b := a.block(a.count)
	b.lengths[i] = uint8(len(id))
	a.used += copy(a.chunks[len(a.chunks)-1][a.used:], id)
	a.count++
	return true
}

// startBlock makes room for the longest possible block, so that no block ever
// straddles two chunks. What that leaves unused is at most 4 KiB of 256.
func (a *arena) startBlock() bool {
	a.used = (a.used + 1<<unitBits - 1) &^ (1<<unitBits - 1)
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last])-a.used < blockBytes {
		if len(a.chunks) == maxChunks {
			return false
		}
		size := chunkMinBytes
		if last >= 0 {
			size = min(2*len(a.chunks[last]), chunkMaxBytes)
		}
		a.chunks = append(a.chunks, make([]byte, size))
		a.used = 0
		last++
	}
	if a.count/blockNames%pageBlocks == 0 {
		a.pages = append(a.pages, new([pageBlocks]block))
	}
	a.block(a.count).start = uint32(last)<<chunkUnitBits | uint32(a.used>>unitBits)
	return true
}

// block returns the block of the n-th name.
func (a *arena) block(n uint32) *block {
	return &a.pages[n/(blockNames*pageBlocks)][n/blockNames%pageBlocks]
}

// get returns the n-th name, which must exist, with no spare capacity.
func (a *arena) get(n uint32) []byte {
	b := a.block(n)
	i := n % blockNames
	from := int(b.start&(1<<chunkUnitBits-1))<<unitBits + b.before(i)
	to := from + int(b.lengths[i])
	return a.chunks[b.start>>chunkUnitBits][from:to:to]
}

// before adds up the lengths of a block's first i names.
func (b *block) before(i uint32) int {
	low := binary.LittleEndian.Uint64(b.lengths[:8])
	if i < 8 {
		return sumBytes(low & (1<<(8*i) - 1))
	}
	high := binary.LittleEndian.Uint64(b.lengths[8:])
	return sumBytes(low) + sumBytes(high&(1<<(8*(i-8))-1))
}

// sumBytes adds the eight bytes of x: first pairs into 16-bit lanes, then the
// lanes by one multiplication. The sum is at most 2,040 and fits a lane.
func sumBytes(x uint64) int {
	const evenBytes = 0x00ff00ff00ff00ff
	return int((x&evenBytes + x>>8&evenBytes) * 0x0001000100010001 >> 48)
}

func (a *arena) memoryBytes() int {
	total := len(a.pages)*int(unsafe.Sizeof([pageBlocks]block{})) + cap(a.pages)*8 + cap(a.chunks)*24
	for _, c := range a.chunks {
		total += len(c)
	}
	return total
}
