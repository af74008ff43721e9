// Package session is the product: what one user of a gateway sees and does. A
// Session owns everything about one user — links to networks, rooms, chats,
// the clients that are in them — and everything that happens to the user
// passes through its inbox, one input at a time. So nothing below needs a lock.
//
// Inputs are stanzas (through Manager.Deliver), events of a network (through
// the link, which is the network's Sink), and the session's own answers and
// timers. Whoever brings work to an idle session on a network's reader does
// the work; the XMPP read loop never does, it starts a goroutine. An idle
// session costs no goroutine at all, an idle link one: the network's reader.
//
// # The four edges
//
//   - read loop to session: tried; a full inbox answers resource-constraint.
//   - session to link: tried; the network's full queue answers the sender.
//   - network to session: blocks that network's reader.
//   - session to stream: blocks on the writer's byte bound until its deadline;
//     without a stream lines are kept, bounded, and what is cut is told.
package session
