// Command kithd is a kith node. It serves a follow graph over TCP from one data
// folder, until it gets SIGINT or SIGTERM.
//
// It owns the process: flags, environment, listener, clock, disk, signals, log
// and exit status. Everything else is package server. Its standard output is one
// line, once clients can connect; the log goes to standard error.
package main
