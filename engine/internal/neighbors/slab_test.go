package neighbors

import (
	"slices"
	"testing"
)

func TestSlabClassesAscendAndFillPages(t *testing.T) {
	if !slices.IsSorted(classWords[:]) || classWords[len(classWords)-1] != maxSlotWords {
		t.Fatal("classes do not ascend to the largest slot")
	}
	for words := range maxSlotWords + 1 {
		size := int(classWords[classOf[words]])
		if size < words || words > 24 && 100*size > 112*words+200 {
			t.Errorf("%d words take a slot of %d", words, size)
		}
	}
	for _, size := range classWords {
		if pageWords%int(size) > 200 {
			t.Errorf("slots of %d words waste %d of a page", size, pageWords%int(size))
		}
	}
	if maxBlockWords+indexPrefix > maxSlotWords {
		t.Error("the largest block has no slot")
	}
}

// TestSlabSlotsAreApart allocates and releases at random: no slot may share a
// word with another, all memory must be given back, and pages used again.
func TestSlabSlotsAreApart(t *testing.T) {
	rnd := newRand(t)
	s := newSlab()
	held := map[uint32]uint64{} // slot to the mark in its first and last word
	var refs []uint32
	mark := uint64(0)
	for step := range 200_000 {
		if grow := step/20_000%2 == 0; rnd.IntN(10) < 7 == grow || len(refs) == 0 {
			words := 1 + rnd.IntN(1+rnd.IntN(maxSlotWords))
			ref, w := s.alloc(words)
			if len(w) < words || s.classAt(ref) != classOf[words] {
				t.Fatalf("%d words: a slot of %d", words, len(w))
			}
			mark++
			for i := range w {
				w[i] = mark
			}
			held[ref], refs = mark, append(refs, ref)
			continue
		}
		i := rnd.IntN(len(refs))
		ref := refs[i]
		refs[i] = refs[len(refs)-1]
		refs = refs[:len(refs)-1]
		for _, word := range s.slot(ref) {
			if word != held[ref] {
				t.Fatalf("slot %x was overwritten", ref)
			}
		}
		delete(held, ref)
		s.release(ref)
	}
	pages := len(s.pages)
	for _, ref := range refs {
		s.release(ref)
	}
	if s.words != 0 || s.held != len(s.reserve) || len(s.empty) != pages {
		t.Fatalf("%d words in use, %d of %d pages held, %d empty", s.words, s.held, pages, len(s.empty))
	}
	if ref, _ := s.alloc(9); len(s.pages) != pages || int(ref>>pageBits) >= pages {
		t.Error("an empty page's number was not used again")
	}
}
