package neighbors

// slab hands out slots of words. Memory is taken in pages of 4,096 words (32 KiB,
// the largest that Go's allocator serves from its pointer-free size classes); a
// page is cut into slots of one size class. A ref is page<<12 | first word, so a
// slab addresses 2^20 pages, 32 GiB. Free slots of a page are chained through
// their first word; pages that have a free slot are chained by class; a page
// without a used slot goes back, a few of them to a reserve, the rest to the
// garbage collector.
type slab struct {
	pages   []slabPage
	partial [len(classWords)]int32 // head of the chain of pages with a free slot, or noPage
	empty   []int32                // numbers of pages without memory
	reserve []*[pageWords]uint64
	words   int // in used slots
	held    int // pages with memory, the reserve included
}

type slabPage struct {
	words      *[pageWords]uint64 // nil: a number to be used again
	prev, next int32              // chain of the class
	used       uint16             // slots
	fresh      uint16             // slots from this one on were never used
	free       uint16             // first slot of the chain of freed ones, plus one
	class      uint8
}

const (
	pageBits     = 12
	pageWords    = 1 << pageBits
	maxPages     = 1 << (32 - pageBits)
	maxReserve   = 8 // pages; more only delay giving memory back
	noPage       = int32(-1)
	maxSlotWords = 512
)

// classWords are the slot sizes in words: by one word up to 24 (most users), then
// about 8 % apart and such that whole slots nearly fill a page (8 to 170 slots).
var classWords = [...]uint16{
	2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
	26, 28, 31, 34, 37, 40, 44, 48, 53, 58, 64, 70, 77, 85, 93, 102, 110, 120, 132, 146, 157,
	170, 186, 204, 227, 240, 256, 273, 292, 315, 341, 372, 409, 455, maxSlotWords,
}

// classOf gives the smallest class with at least so many words.
var classOf = func() (of [maxSlotWords + 1]uint8) {
	class := 0
	for words := range of {
		if words > int(classWords[class]) {
			class++
		}
		of[words] = uint8(class)
	}
	return of
}()

func newSlab() slab {
	var s slab
	for i := range s.partial {
		s.partial[i] = noPage
	}
	return s
}

// slot is the whole slot at ref, of its class's size.
func (s *slab) slot(ref uint32) []uint64 {
	page := &s.pages[ref>>pageBits]
	at := ref & (pageWords - 1)
	return page.words[at : at+uint32(classWords[page.class])]
}

func (s *slab) classAt(ref uint32) uint8 { return s.pages[ref>>pageBits].class }

// alloc gives a slot of at least so many words; what it contains is undefined.
func (s *slab) alloc(words int) (uint32, []uint64) {
	class := classOf[words]
	n := s.partial[class]
	if n == noPage {
		n = s.addPage(class)
	}
	page := &s.pages[n]
	size := uint32(classWords[class])
	slot := page.fresh
	if page.free != 0 {
		slot = page.free - 1
		page.free = uint16(page.words[uint32(slot)*size])
	} else {
		page.fresh++
	}
	page.used++
	if page.free == 0 && (uint32(page.fresh)+1)*size > pageWords {
		s.unlink(n)
	}
	s.words += int(size)
	ref := uint32(n)<<pageBits | uint32(slot)*size
	return ref, s.slot(ref)
}

// release takes a slot back.
func (s *slab) release(ref uint32) {
	n := int32(ref >> pageBits)
	page := &s.pages[n]
	size := uint32(classWords[page.class])
	wasFull := page.free == 0 && (uint32(page.fresh)+1)*size > pageWords
	at := ref & (pageWords - 1)
	page.words[at] = uint64(page.free)
	page.free = uint16(at/size) + 1
	page.used--
	s.words -= int(size)
	if wasFull {
		s.link(n)
	}
	if page.used == 0 {
		s.dropPage(n)
	}
}

func (s *slab) addPage(class uint8) int32 {
	var n int32
	if last := len(s.empty) - 1; last >= 0 {
		n, s.empty = s.empty[last], s.empty[:last]
	} else {
		if len(s.pages) == maxPages {
			panic("neighbors: a pool cannot hold more than 32 GiB")
		}
		n = int32(len(s.pages))
		s.pages = append(s.pages, slabPage{})
	}
	page := slabPage{class: class}
	if last := len(s.reserve) - 1; last >= 0 {
		page.words, s.reserve = s.reserve[last], s.reserve[:last]
	} else {
		page.words = new([pageWords]uint64)
		s.held++
	}
	s.pages[n] = page
	s.link(n)
	return n
}

func (s *slab) dropPage(n int32) {
	s.unlink(n)
	page := &s.pages[n]
	if len(s.reserve) < maxReserve {
		s.reserve = append(s.reserve, page.words)
	} else {
		s.held--
	}
	page.words = nil
	s.empty = append(s.empty, n)
}

// link puts a page at the head of its class's chain.
func (s *slab) link(n int32) {
	page := &s.pages[n]
	head := s.partial[page.class]
	page.prev, page.next = noPage, head
	if head != noPage {
		s.pages[head].prev = n
	}
	s.partial[page.class] = n
}

func (s *slab) unlink(n int32) {
	page := &s.pages[n]
	if page.prev == noPage {
		s.partial[page.class] = page.next
	} else {
		s.pages[page.prev].next = page.next
	}
	if page.next != noPage {
		s.pages[page.next].prev = page.prev
	}
}
