package wire

// What every connection begins with and which versions this package speaks.
const (
	// Magic is the first thing that either side sends, before its first frame.
	Magic = "KITH"
	// Version is the newest version of the protocol that this package speaks.
	Version uint8 = 1
	// MinVersion is the oldest one.
	MinVersion uint8 = 1
	// Features are the feature bits that this package understands.
	Features uint32 = 0
)

// Limits of frames, in bytes of the body: the header's 8 bytes are not counted.
const (
	// MaxBodyBytes is the largest body that a header can announce.
	MaxBodyBytes = 1<<24 - 1
	// MaxOpeningBytes bounds every frame, in both directions, until the hello has
	// been accepted: a stranger is not worth more memory than that.
	MaxOpeningBytes = 8 << 10
	// DefaultMaxFrameBytes is what a side offers in the hello unless told otherwise.
	DefaultMaxFrameBytes = 1 << 20
	// MinMaxFrameBytes is the least that the hello can agree on. A full page of the
	// longest ids (500 of 128 bytes, 67,000 bytes) fits, so no list is ever cut short by it.
	MinMaxFrameBytes = 128 << 10
)

// Limits of messages.
const (
	// MaxIDs is the largest number of user ids in an info or a check.
	MaxIDs = 100
	// MaxFollowIDs is the largest number of user ids in a follow or an unfollow.
	MaxFollowIDs = 20
	// MaxPage is the largest number of items in a page of a list.
	MaxPage = 500
	// DefaultPage is the number of items in a page whose request does not say.
	DefaultPage = 100
	// MaxImportRows is the largest number of rows in an import frame.
	MaxImportRows = 1000
	// MaxExportRows is the largest number of rows in an export frame.
	MaxExportRows = 4096
	// MaxCredits is the largest number of frames that an export may be ahead of its client.
	MaxCredits = 1024
	// MaxCredentialsBytes bounds the credentials in a hello.
	MaxCredentialsBytes = 4 << 10
	// MaxCursorBytes is the length of the longest cursor that a server gives out. A
	// longer one is decoded, so that the server can answer bad_cursor.
	MaxCursorBytes = 64
	// MaxTextBytes bounds messages, addresses, node ids and version strings.
	MaxTextBytes = 1 << 10
	// MaxStatusBytes bounds the JSON of a status, so that it fits every frame.
	MaxStatusBytes = MinMaxFrameBytes
	// MaxStatusShards bounds the shards in a status.
	MaxStatusShards = 256
)
