// Package edgelist reads and writes follow graphs as text, one follow a line.
//
// # What is read
//
// A line is `follower followee`, or `follower followee time`, the time in
// seconds since 1970 UTC. It is taken in one of two ways:
//
//   - The exact form, which Writer writes: three columns with one tab between each, none of
//     them empty, the third of digits only. Ids are taken as they are, with any
//     blanks that they contain. One tab before the first column is ignored.
//   - Every other line: columns separated, and surrounded, by any run of blanks
//     and tabs. This is how edge lists are found in the wild.
//
// Lines whose first column starts with # and empty lines are comments; \n and
// \r\n end a line; a byte order mark before the first line is ignored; a time of 0
// says that it is not known. Gzip and Zstandard input is recognised by its first
// bytes and unpacked on the way.
//
// # Why a round trip is exact
//
// An id holds no control character, so no tab and no line end, but it may hold
// blanks anywhere, and it may start with # or with a byte order mark. Blanks
// are kept by the exact form. Before a follower that starts with # or with a byte order
// mark, Writer puts the tab that the exact form ignores, so that its line
// starts with neither. An id cannot look like gzip or Zstandard either: both
// start with bytes that no id may hold.
//
// # Limits and errors
//
// Lines are bounded (Options.MaxLineBytes), memory is that one line and the
// decompressor's window, which is bounded too. A line that is not understood is a *LineError
// from Next, and reading may go on behind it; any other error of Next is of
// the input as a whole (ErrCompression, or the reader's own) and final.
//
// A Reader or Writer belongs to one goroutine, but for Reader.RawBytes, which
// any may call. Read Reader and Row first.
package edgelist
