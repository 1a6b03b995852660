// Package graphgen makes follow graphs that look like real ones, for demos and
// measurements, as a stream and in memory that does not grow with them.
//
// The same Options give the same graph (on another processor architecture floating
// point may round otherwise, and the graph differ a little). Its shape:
//
//   - users have names (UserID), and live in communities of 150 or more;
//   - how many others a user follows is log-normal, never over 5,000;
//   - half of the follows go to the own community, of which one in five is
//     returned at once, which makes about a fifth of all follows mutual;
//   - the other half go anywhere, by a Zipf-like popularity;
//   - users 0 and 1 are celebrities, followed by 30 and 15 in 100 of all users.
//
// Some follows come up twice, with the same time, as in lists collected from real
// sites. Read
// Options and Generate first. Everything here is a function of its arguments
// and safe for concurrent use.
package graphgen
