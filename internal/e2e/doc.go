// Package e2e tests kith as its users meet it: real kithd processes, real kill
// -9, real follow graphs, through the Go client and the kith command. It has no
// code outside its tests.
//
// Node starts and stops a kithd of the tree under test; Model is the plain
// in-memory truth that answers are compared with.
package e2e
