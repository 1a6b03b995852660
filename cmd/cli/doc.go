// Command kith talks to a kith node from a shell: the seven operations, import
// and export of edge lists, status and ping.
//
// It is a thin layer over package client. What it adds: tables for people and
// JSON and TSV for scripts, one line of advice for each error, and imports that
// can be interrupted and resumed. Its JSON and TSV are contracts, pinned by the
// golden files in testdata; tables may change.
//
// All input and output goes through env, so that tests run whole commands and
// compare whole outputs. One goroutine runs a command; where a command has more
// (import, its progress), it waits for them before it returns.
package main
