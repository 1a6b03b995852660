// Command kith-bench makes graphs and measures a node.
//
// `generate` writes a graph of package graphgen as an edge list; `checks` loads a
// node with checks, in a closed loop: so many callers, each with one check under
// way. The figures are of client and server together, for both usually run on one
// machine; the program prints its own use of CPU beside them.
package main
