package raftfsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

func appendUint64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

func isFormatError(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrUnknownVersion)
}

// decodeAll returns the commands of an entry.
func decodeAll(entry []byte) ([]*Command, error) {
	d, err := DecodeEntry(entry)
	if err != nil {
		return nil, err
	}
	var commands []*Command
	for {
		c := new(Command)
		more, err := d.Next(c)
		if err != nil || !more {
			return commands, err
		}
		commands = append(commands, c)
	}
}

func TestDecoderReusesSlicesWithoutMixing(t *testing.T) {
	d, err := DecodeEntry(entryOf(goldenCommands()...))
	if err != nil {
		t.Fatal(err)
	}
	var c Command
	for i, want := range goldenCommands() {
		if more, err := d.Next(&c); !more || err != nil {
			t.Fatalf("command %d: %v", i, err)
		}
		got, again := AppendCommand(nil, &c), AppendCommand(nil, want)
		if !bytes.Equal(got, again) {
			t.Errorf("command %d: %x, not %x", i, got, again)
		}
		if n := want.EncodedBytes(); n < len(again) {
			t.Errorf("command %d: EncodedBytes %d, but it has %d", i, n, len(again))
		}
	}
	if more, err := d.Next(&c); more || err != nil {
		t.Errorf("after the last: %v, %v", more, err)
	}
}

func TestDecoderNamesWhatIsWrong(t *testing.T) {
	head := AppendEntryHeader(nil, 1)
	for name, tc := range map[string]struct {
		entry []byte
		want  error
	}{
		"nothing":             {nil, ErrTruncated},
		"next version":        {[]byte{2, 0, 0, 0, 0}, ErrUnknownVersion},
		"unknown kind":        {append(head[:5:5], 99), ErrCorrupt},
		"kind 0":              {append(head[:5:5], 0), ErrCorrupt},
		"bad flag":            {append(head[:5:5], 2, 0, 0, 0, 0, 1, 1, 0, 0, 0, 2), ErrCorrupt},
		"times of nobody":     {append(head[:5:5], 2, 0, 0, 0, 0, 0, 1), ErrCorrupt},
		"long varint":         {append(head[:5:5], 1, 0x80, 0), ErrCorrupt},
		"overlong varint":     {append(head[:5:5], 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255), ErrCorrupt},
		"claim of 2^63 ids":   {append(head[:5:5], 1, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1), ErrTruncated},
		"claim of 2^32 users": {append(head[:5:5], 3, 0, 0, 0, 0, 128, 128, 128, 128, 16), ErrTruncated},
	} {
		if _, err := decodeAll(tc.entry); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, not %v", name, err, tc.want)
		}
	}
}

func TestClaimedCountsAllocateNothing(t *testing.T) {
	entry := append(AppendEntryHeader(nil, 1), byte(CommandDeliver), 0, 0, 1, 255, 255, 255, 255, 15)
	var c Command
	allocated := testing.AllocsPerRun(10, func() {
		d, err := DecodeEntry(entry)
		if err == nil {
			_, err = d.Next(&c)
		}
		if !errors.Is(err, ErrTruncated) {
			t.Error(err)
		}
	})
	if allocated > 10 { // the error itself
		t.Errorf("%v allocations", allocated)
	}
}

func TestCheckEntryHoldsTheLimits(t *testing.T) {
	var scratch Command
	many := AppendEntryHeader(nil, 1)
	for range MaxEntryCommands + 1 {
		many = AppendCommand(many, &Command{Kind: CommandTrim})
	}
	if err := checkEntry(many, &scratch); !errors.Is(err, ErrEntryTooLarge) {
		t.Errorf("too many commands: %v", err)
	}
	one := &Command{Kind: CommandFollow, Targets: make([]shard.UID, MaxCommandBytes/4)}
	if err := checkEntry(entryOf(one), &scratch); !errors.Is(err, ErrEntryTooLarge) {
		t.Errorf("too large: %v", err)
	}
	one.Targets = one.Targets[:MaxEntryBytes/4+100]
	if err := checkEntry(entryOf(one), &scratch); err != nil {
		t.Errorf("a lone large command: %v", err)
	}
	if err := checkEntry([]byte("x"), &scratch); !isFormatError(err) {
		t.Errorf("no entry: %v", err)
	}
}

// FuzzEntry checks that what decodes has exactly one encoding.
func FuzzEntry(f *testing.F) {
	f.Add(entryOf(goldenCommands()...))
	f.Add(entryOf(&Command{Kind: CommandDeliver, Items: []engine.Item{{}}}))
	f.Fuzz(func(t *testing.T, entry []byte) {
		commands, err := decodeAll(entry)
		if err != nil {
			if !isFormatError(err) {
				t.Errorf("untyped error: %v", err)
			}
			return
		}
		d, _ := DecodeEntry(entry)
		again := AppendEntryHeader(nil, d.Time())
		for _, c := range commands {
			if n, size := c.EncodedBytes(), len(AppendCommand(nil, c)); n < size {
				t.Errorf("EncodedBytes %d, but %d", n, size)
			}
			again = AppendCommand(again, c)
		}
		if !bytes.Equal(again, entry) {
			t.Errorf("%x was encoded again as %x", entry, again)
		}
	})
}

// FuzzStored feeds every other decoder: none may panic or return an untyped error.
func FuzzStored(f *testing.F) {
	for _, b := range encoded() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, decode := range decoders() {
			if _, err := decode(b); err != nil && !isFormatError(err) {
				t.Errorf("%s: untyped error: %v", name, err)
			}
		}
	})
}
