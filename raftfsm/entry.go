package raftfsm

import (
	"encoding/binary"

	"github.com/kithgraph/kith/engine"
	"github.com/kithgraph/kith/shard"
)

// Limits of one entry. They bound what a proposal may be; the decoder does not
// know them, so that raising one needs no new format version.
const (
	// MaxEntryBytes is the size at which a batcher cuts an entry, in bytes.
	MaxEntryBytes = 256 << 10
	// MaxCommandBytes is the size of the largest command, which may have an entry to itself, in bytes.
	MaxCommandBytes = 1 << 20
	// MaxEntryCommands is the largest number of commands in an entry.
	MaxEntryCommands = 4000
)

// entryVersion is the version of the entry format that is written. FORMATS.md specifies it.
const entryVersion = 1

// entryHeaderBytes is the size of the version and the time in front of the commands.
const entryHeaderBytes = 5

// CommandKind says what a command does. The values are stored and never change.
type CommandKind uint8

// The kinds of commands.
const (
	// CommandRegister gives numbers to users of this shard: UserIDs.
	CommandRegister CommandKind = 1
	// CommandFollow makes Me follow Targets, at Times if they are given.
	CommandFollow CommandKind = 2
	// CommandUnfollow makes Me follow Targets no longer.
	CommandUnfollow CommandKind = 3
	// CommandDeliver applies Items, numbered First and up, of the outbox of shard From.
	CommandDeliver CommandKind = 4
	// CommandTrim forgets the outbox items for shard To up to number Applied.
	CommandTrim CommandKind = 5
	// CommandSettings sets the replicated settings: FollowingLimit.
	CommandSettings CommandKind = 6
)

// Command is one step of the state machine. Which fields count depends on Kind;
// the others are ignored by AppendCommand and zero after decoding.
type Command struct {
	Kind CommandKind
	// UserIDs are the names to register. Decoded ones alias the entry.
	UserIDs [][]byte
	// Me is the user who follows or unfollows.
	Me shard.UID
	// Targets are whom Me follows or unfollows.
	Targets []shard.UID
	// Times are follow times in seconds since 1970: nil, or one for each target, 0 meaning the entry's.
	Times []uint32
	// From and First say which outbox items Items are.
	From  shard.ID
	First uint64
	Items []engine.Item
	// To and Applied say which outbox items to forget.
	To      shard.ID
	Applied uint64
	// FollowingLimit is the most users that one may follow.
	FollowingLimit uint32
}

// Result is what one command did, the same on every replica.
type Result struct {
	// Outcomes and Seqs have an element for each target of a follow or unfollow.
	Outcomes []engine.Outcome
	Seqs     []uint64
	// UIDs has an element for each registered id: NoUID where it was refused.
	UIDs []shard.UID
	// Applied is the inbox mark after a deliver.
	Applied uint64
	// Err is why a command was refused as a whole, or why its first refused id was.
	Err error
}

// EntryResult is what one entry did.
type EntryResult struct {
	// Index is the entry's place in the group's log.
	Index uint64
	// Results has an element for each command, in their order.
	Results []Result
	// Err is set when the entry was not applied because the state already contains it.
	Err error
}

// AppendEntryHeader begins an entry whose commands happen at the given time, in seconds since 1970 UTC.
func AppendEntryHeader(dst []byte, time uint32) []byte {
	dst = append(dst, entryVersion)
	return binary.LittleEndian.AppendUint32(dst, time)
}

// AppendCommand adds a command to an entry.
func AppendCommand(dst []byte, c *Command) []byte {
	dst = append(dst, byte(c.Kind))
	switch c.Kind {
	case CommandRegister:
		dst = binary.AppendUvarint(dst, uint64(len(c.UserIDs)))
		for _, id := range c.UserIDs {
			dst = binary.AppendUvarint(dst, uint64(len(id)))
			dst = append(dst, id...)
		}
	case CommandFollow:
		dst = appendTargets(dst, c)
		dst = append(dst, flag(len(c.Times) > 0))
		for _, t := range c.Times {
			dst = binary.LittleEndian.AppendUint32(dst, t)
		}
	case CommandUnfollow:
		dst = appendTargets(dst, c)
	case CommandDeliver:
		dst = appendDeliver(dst, c)
	case CommandTrim:
		dst = binary.LittleEndian.AppendUint16(dst, uint16(c.To))
		dst = binary.AppendUvarint(dst, c.Applied)
	case CommandSettings:
		dst = binary.LittleEndian.AppendUint32(dst, c.FollowingLimit)
	}
	return dst
}

func appendTargets(dst []byte, c *Command) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(c.Me))
	dst = binary.AppendUvarint(dst, uint64(len(c.Targets)))
	for _, t := range c.Targets {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(t))
	}
	return dst
}

func appendDeliver(dst []byte, c *Command) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(c.From))
	dst = binary.AppendUvarint(dst, c.First)
	dst = binary.AppendUvarint(dst, uint64(len(c.Items)))
	for i := range c.Items {
		it := &c.Items[i]
		dst = append(dst, flag(it.Remove))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(it.Source))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(it.Target))
		dst = binary.LittleEndian.AppendUint32(dst, it.Time)
	}
	return dst
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// EncodedBytes returns an upper bound of the size of the encoded command, for
// deciding whether it still fits into an entry.
func (c *Command) EncodedBytes() int {
	n := 1 + 2 + 3*binary.MaxVarintLen64 + 4
	switch c.Kind {
	case CommandRegister:
		for _, id := range c.UserIDs {
			n += binary.MaxVarintLen32 + len(id)
		}
	case CommandFollow, CommandUnfollow:
		n += 4*len(c.Targets) + 4*len(c.Times)
	case CommandDeliver:
		n += itemBytes * len(c.Items)
	}
	return n
}
