package server

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

const (
	cursorVersion  = 1
	cursorKeyLabel = "kith cursor 1"
	cursorKeyBytes = 16
	// cursorChars is the length of a cursor: one block of 16 bytes in base64url
	// without padding.
	cursorChars = 22
)

// cursorCodec turns places in lists into cursors and back. A cursor is one
// AES-128 block under a key that is derived from the cluster's secret:
//
//	byte 0      cursor version, 1
//	byte 1      list kind
//	bytes 2-5   uid of the list's owner, little endian
//	bytes 6-9   uid of the last edge that was seen
//	bytes 10-13 follow time of that edge
//	bytes 14-15 zero
//
// so nothing in it can be read or changed by a client: a block that was not made
// here decrypts to noise, and of noise one in 2^64 has the right version, kind,
// owner and zeros. Every node of a cluster has the same key, so a cursor is
// good at any of them and after any restart.
//
// A codec is immutable and safe for concurrent use; its scratch is the caller's.
type cursorCodec struct {
	block cipher.Block
}

// cursorScratch keeps the two blocks off the heap on the hot path.
type cursorScratch struct {
	plain, sealed [aes.BlockSize]byte
}

func newCursorCodec(id identity) (*cursorCodec, error) {
	key, err := id.key(cursorKeyLabel, cursorKeyBytes)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cursor cipher: %w", err)
	}
	return &cursorCodec{block: block}, nil
}

// append appends the cursor of a place to dst.
func (c *cursorCodec) append(dst []byte, s *cursorScratch, kind engine.ListKind, owner shard.UID, at engine.Position) []byte {
	s.plain = [aes.BlockSize]byte{0: cursorVersion, 1: byte(kind)}
	binary.LittleEndian.PutUint32(s.plain[2:], uint32(owner))
	binary.LittleEndian.PutUint64(s.plain[6:], uint64(at))
	c.block.Encrypt(s.sealed[:], s.plain[:])
	return base64.RawURLEncoding.AppendEncode(dst, s.sealed[:])
}

// parse returns the place that a cursor of that list stands for. It fails with
// errBadCursor on anything that append did not make for that very list.
func (c *cursorCodec) parse(cursor []byte, s *cursorScratch, kind engine.ListKind, owner shard.UID) (engine.Position, error) {
	if len(cursor) != cursorChars {
		return 0, errBadCursor
	}
	// Decode skips line breaks, so what it accepts can be shorter than a block;
	// Strict refuses the unused bits of the last character.
	n, err := base64.RawURLEncoding.Strict().Decode(s.sealed[:], cursor)
	if err != nil || n != aes.BlockSize {
		return 0, errBadCursor
	}
	c.block.Decrypt(s.plain[:], s.sealed[:])
	good := s.plain[0] == cursorVersion && s.plain[1] == byte(kind) &&
		binary.LittleEndian.Uint32(s.plain[2:]) == uint32(owner) &&
		s.plain[14] == 0 && s.plain[15] == 0
	if !good {
		return 0, errBadCursor
	}
	return engine.Position(binary.LittleEndian.Uint64(s.plain[6:])), nil
}
