// Package wire is the protocol between clients and nodes: frames, messages and
// codes, as bytes. PROTOCOL.md beside this file is the specification, from which
// a client in another language can be written; the worked hex in it is read by
// the tests, so that document and code cannot drift apart.
//
// The package does no I/O, keeps no state and knows nothing of graphs: it turns
// byte slices into structs and back. It does not judge user ids or cursors
// either; those are decoded as they come, bounded by their frame, and refused
// one by one by the server.
//
// Read Header and NextFrame first, then any message: each is a struct with
// Append, which writes the body, and Decode, which reads it. Decode reuses the
// slices that the struct already has and its byte slices alias the body, so a
// struct that is used again and again allocates nothing; what must outlive the
// body has to be copied. After an error the struct's content is undefined.
//
// Every function is safe for concurrent use; a message is not. Bytes from
// outside never panic and never allocate more than a constant, documented bound:
// no announced length or count is believed before its bytes are there
// (invariant 11 of ARCHITECTURE.md).
package wire
