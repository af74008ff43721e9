package session

import (
	"time"

	"transportd/bridges"
)

// Times a room waits before it is left.
const (
	// offlineSettles is how far apart a server may send the several unavailable
	// presences of a client that went offline.
	offlineSettles = time.Second
	// partGrace is how long a room waits for a client that dropped off.
	partGrace = 3 * time.Minute
)

// leaveSeat takes one client out that said it leaves (XEP-0045 section 7.14).
// The same stanza comes when the client went offline; where the gateway sees
// the user's presence it can tell the two apart, and waits for it to return.
func (r *room) leaveSeat(st *seat, reason string) {
	r.removeSeat(st)
	r.send(r.selfGone(st, leave{codes: codesSelf}))
	c := r.client(st.jid.Resource)
	if len(r.seats) > 0 || r.stays() || c == nil {
		r.afterSeat(reason, false)
		return
	}
	if !c.offline.IsZero() {
		r.afterSeat(reason, true)
		return
	}
	if r.part == nil {
		r.part = r.after(offlineSettles, func() {
			r.part = nil
			if r.rooms[r.jid.Local] == r {
				r.afterSeat(reason, !c.offline.IsZero())
			}
		})
	}
}

// afterSeat leaves the room when no client is in it any more.
func (r *room) afterSeat(reason string, grace bool) {
	if len(r.seats) > 0 || r.stays() {
		if len(r.seats) == 0 {
			r.noteKept()
		}
		return
	}
	if grace {
		if r.part == nil {
			r.part = r.after(partGrace, func() {
				r.part = nil
				if r.rooms[r.jid.Local] == r {
					r.afterSeat(reason, false)
				}
			})
		}
		return
	}
	r.leaveNetwork(reason)
}

// leaveNetwork leaves the room on the network; the room is forgotten when that
// is confirmed.
func (r *room) leaveNetwork(reason string) {
	if r.state != roomIn || !r.l.online() {
		r.gone()
		return
	}
	r.state = roomLeaving
	r.act(r.l, outcomeFunc(func(bridges.Event) { r.left() }), func(ref bridges.Ref) error {
		return r.l.net.Leave(ref, r.id, reason)
	})
}

// left is called when the network has confirmed that the user is out.
func (r *room) left() {
	if r.rooms[r.jid.Local] != r || r.state != roomLeaving {
		return
	}
	if r.comesBack() {
		r.join()
		return
	}
	r.gone()
}

// comesBack makes a room that was being left one that is joined, where a client
// has asked for that meanwhile, or the user keeps it now.
func (r *room) comesBack() bool {
	if (!r.rejoin || len(r.seats) == 0) && !r.keeps(r.jid.Local) {
		return false
	}
	r.rejoin, r.state = false, roomJoining
	r.unnamed()
	return true
}

// close shows every client that the user is no longer in, and forgets the room.
func (r *room) close(lv leave) {
	r.showLeave(lv)
	r.gone()
}
