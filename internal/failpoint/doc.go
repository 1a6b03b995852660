// Package failpoint names the steps of the server at which a test may step in:
// crash the disk, delay, or return an error.
//
// A step is marked by a call of Hit with its name, "package/step". In a normal
// build Hit is empty and inlined away. Under the build tag failpoint it calls
// what the test has set for that name; the names that were ever hit are listed
// by Names, so that a test can insist on having exercised all of them.
//
// Set, Clear and Names exist only under the tag. All functions are safe for
// concurrent use.
package failpoint
