// Package archive records what was said in rooms, so that it is there when
// somebody looks for it later (XEP-0313).
//
// A line is stored before it is shown. "Stored" is a journal in memory that the
// kernel keeps when the process is killed; from there one goroutine takes lines to
// the database, many in a transaction. Whoever reads waits for what is on its way.
//
// # Whose lines
//
// Several users of a gateway in one room of a network hear the same lines, each
// over their own connection. Where the room's network is one the operator defined
// such a line is stored once, and who hears it later claims it. A user sees
// exactly the lines their own connection brought: those of the time they were in
// the room, less what did not reach them (a line to operators only, a line the
// network kept from them), with their own lines as their client wrote them.
//
// # Order
//
// Lines are ordered by a key: the network's time, made unique. The key never
// changes, and it is the line's id towards clients (XEP-0359), so that an id whose
// line is gone still has its place. What a network plays back later is put where
// it belongs.
//
// The package imports only the standard library; a database implements Backend.
package archive
