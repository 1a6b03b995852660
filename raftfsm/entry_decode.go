package raftfsm

import (
	"encoding/binary"
	"fmt"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

// itemBytes is the size of an encoded outbox item.
const itemBytes = 13

// EntryDecoder walks over the commands of an entry. The zero value has none.
type EntryDecoder struct {
	r    reader
	time uint32
}

// DecodeEntry reads an entry's header. Nothing is copied: the entry must not
// change while the decoder or a command that it decoded is in use.
func DecodeEntry(entry []byte) (EntryDecoder, error) {
	d := EntryDecoder{r: reader{b: entry}}
	if v := d.r.u8(); d.r.err == nil && v != entryVersion {
		return EntryDecoder{}, fmt.Errorf("%w: entry of version %d, known is %d", ErrUnknownVersion, v, entryVersion)
	}
	d.time = d.r.u32()
	if d.r.err != nil {
		return EntryDecoder{}, fmt.Errorf("entry header: %w", d.r.err)
	}
	return d, nil
}

// Time returns the entry's time in seconds since 1970 UTC.
func (d *EntryDecoder) Time() uint32 { return d.time }

// Next decodes the next command into c, whose slices it reuses. It returns false
// at the end and at the first error.
func (d *EntryDecoder) Next(c *Command) (bool, error) {
	if d.r.err != nil || len(d.r.b) == 0 {
		return false, d.r.err
	}
	*c = Command{Kind: CommandKind(d.r.u8()), UserIDs: c.UserIDs[:0], Targets: c.Targets[:0], Times: c.Times[:0], Items: c.Items[:0]}
	d.body(c)
	if d.r.err != nil {
		d.r.err = fmt.Errorf("command of kind %d: %w", c.Kind, d.r.err)
		return false, d.r.err
	}
	return true, nil
}

func (d *EntryDecoder) body(c *Command) {
	r := &d.r
	switch c.Kind {
	case CommandRegister:
		for n := r.count(1); n > 0 && r.err == nil; n-- {
			c.UserIDs = append(c.UserIDs, r.bytes(r.count(1)))
		}
	case CommandFollow:
		r.targets(c)
		r.times(c)
	case CommandUnfollow:
		r.targets(c)
	case CommandDeliver:
		c.From = shard.ID(r.u16())
		c.First = r.uvarint()
		for n := r.count(itemBytes); n > 0; n-- {
			c.Items = append(c.Items, engine.Item{
				Remove: r.flag(), Source: shard.UID(r.u32()), Target: shard.UID(r.u32()), Time: r.u32(),
			})
		}
	case CommandTrim:
		c.To = shard.ID(r.u16())
		c.Applied = r.uvarint()
	case CommandSettings:
		c.FollowingLimit = r.u32()
	default:
		r.fail(ErrCorrupt)
	}
}

// checkEntry returns an error unless the entry can be proposed: what is once
// committed must be decodable on every replica, or all of them stop.
func checkEntry(entry []byte, scratch *Command) error {
	if len(entry) > entryHeaderBytes+MaxCommandBytes {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrEntryTooLarge, len(entry), entryHeaderBytes+MaxCommandBytes)
	}
	d, err := DecodeEntry(entry)
	if err != nil {
		return err
	}
	commands := 0
	for {
		more, err := d.Next(scratch)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		commands++
	}
	if commands > MaxEntryCommands {
		return fmt.Errorf("%w: %d commands, the limit is %d", ErrEntryTooLarge, commands, MaxEntryCommands)
	}
	return nil
}

// reader takes fields off the front of b. After the first error it only returns
// zeros, so that callers may check once.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// take returns the next n bytes, or zeros when they are not there. n is small.
func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.fail(ErrTruncated)
		return make([]byte, n)
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// flag reads a byte that must be 0 or 1.
func (r *reader) flag() bool {
	v := r.u8()
	if v > 1 {
		r.fail(ErrCorrupt)
	}
	return v == 1
}

// uvarint reads a varint in its shortest form, so that every value has one encoding.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	switch {
	case r.err != nil:
		return 0
	case n == 0:
		r.fail(ErrTruncated)
		return 0
	case n < 0 || n > 1 && r.b[n-1] == 0:
		r.fail(ErrCorrupt)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads the number of elements of at least the given size that follow.
// More than fit into what is left cannot be, so the claim is safe to allocate by.
func (r *reader) count(elementBytes int) int {
	v := r.uvarint()
	if v > uint64(len(r.b)/elementBytes) {
		r.fail(ErrTruncated)
		return 0
	}
	return int(v)
}

// bytes returns the next n bytes, which count has found to be there.
func (r *reader) bytes(n int) []byte {
	if r.err != nil || n > len(r.b) {
		r.fail(ErrTruncated)
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) targets(c *Command) {
	c.Me = shard.UID(r.u32())
	for n := r.count(4); n > 0; n-- {
		c.Targets = append(c.Targets, shard.UID(r.u32()))
	}
}

func (r *reader) times(c *Command) {
	if !r.flag() {
		return
	}
	if len(c.Targets) == 0 {
		r.fail(ErrCorrupt)
	}
	for range c.Targets {
		c.Times = append(c.Times, r.u32())
	}
}
