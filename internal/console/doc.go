// Package console is what the commands have in common on a terminal: text from
// strangers made harmless, errors in one line, and the version of the build.
//
// All functions are pure and safe for concurrent use.
package console
