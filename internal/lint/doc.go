// Package lint holds the house rules that no general linter knows, as Go tests:
// sizes of files and functions, package comments, no sleeping tests, and no
// clock, socket or file below the packages that may own one. It has no code of
// its own.
package lint
