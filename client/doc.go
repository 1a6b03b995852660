// Package client is the Go client of kith: follow, unfollow, lists, counts and
// checks, import and export, over a few connections that all callers share.
//
// Dial returns a Client, which is safe for concurrent use; share one. Read Client
// and Error first, then Importer and Client.Export for bulk work. An Importer is
// for one goroutine.
//
// # Calls
//
// Many calls are under way on a connection at once and are answered in any order.
// Callers that are ready to send at the same moment share one system call, so the
// client gets faster the more goroutines use it. A call ends with its context, or
// after Options.CallTimeout where that has no deadline; the connection and all
// other calls go on, and the late answer is dropped. A connection that fails, or
// falls silent, is made again with growing pauses.
//
// # Errors and repeating
//
// The error of a call is an *Error. errors.Is matches it with the sentinels of
// this package (ErrUnavailable, ErrTimeout and so on) and with its cause.
// SafeToRetry tells whether the same call may be made again. A user id that is
// refused does not make its call fail; its result has the Code.
//
// Within its deadline the client repeats a call by itself:
//
//   - any call that was surely not carried out: there was no connection, the
//     request was not sent, or the server answered unavailable or not_leader;
//   - reads, ping and status also when the connection was lost meanwhile or the
//     server answered timeout.
//
// A write whose outcome is unknown is not repeated but fails with ErrTimeout.
// Repeating it cannot do harm to the graph's form, for following twice is
// following once; but if in between somebody else took the follow back, the
// repetition would bring it back again, and Changed would no longer tell what
// this call did. Whoever does not mind that repeats the call, as SafeToRetry
// says; an Importer does so by itself.
//
// # What it does not do
//
// It keeps no copy of the graph, and it does not judge user ids or cursors: the
// server does. It opens sockets only by Options.Dialer, reads no clock, and
// never logs what is in a call.
package client
