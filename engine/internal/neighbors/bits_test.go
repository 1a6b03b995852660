package neighbors

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// newRand gives a reproducible source and prints its seed.
func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func unpackBits(w []uint64) []byte {
	out := make([]byte, 64*len(w))
	for i := range out {
		out[i] = byte(w[i>>6] >> (i & 63) & 1)
	}
	return out
}

func valueBits(v uint64, width uint) []byte { return unpackBits([]uint64{v})[:width] }

func TestBitFieldsAgreeWithSliceOfBits(t *testing.T) {
	rnd := newRand(t)
	for range 200_000 {
		w := make([]uint64, 2+rnd.IntN(5))
		for i := range w {
			w[i] = rnd.Uint64()
		}
		total := uint(64 * len(w))
		width := uint(rnd.IntN(34))
		pos := 64 + rnd.UintN(total-64-width)
		end := pos + rnd.UintN(total-width-pos+1)
		if rnd.IntN(4) == 0 {
			end = pos
		}
		for i := end; i < end+width; i++ {
			w[i>>6] &^= 1 << (i & 63)
		}
		v := rnd.Uint64() & (1<<width - 1)
		before := unpackBits(w)
		want := slices.Concat(before[:pos], valueBits(v, width), before[pos:end], before[end+width:])
		insertBits(w, pos, end, width, v)
		if got := unpackBits(w); !slices.Equal(got, want) {
			t.Fatalf("insertBits(%d, %d, %d, %x)\n%v\n%v\n%v", pos, end, width, v, before, got, want)
		}
		if width > 0 && getBits(w, pos, width) != v {
			t.Fatalf("getBits(%d, %d) is not %x", pos, width, v)
		}
		removeBits(w, pos, end+width, width)
		if got := unpackBits(w); !slices.Equal(got, before) {
			t.Fatalf("removeBits(%d, %d, %d)\n%v\n%v", pos, end+width, width, got, before)
		}
	}
}

func TestSelect64(t *testing.T) {
	rnd := newRand(t)
	for range 20_000 {
		x := rnd.Uint64() & (rnd.Uint64() | rnd.Uint64())
		rest := x
		for k := range bits.OnesCount64(x) {
			if got, want := select64(x, k), uint(bits.TrailingZeros64(rest)); got != want {
				t.Fatalf("select64(%x, %d) is %d, not %d", x, k, got, want)
			}
			rest &= rest - 1
		}
	}
}
