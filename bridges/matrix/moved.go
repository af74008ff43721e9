package matrix

import (
	"context"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// Bounds of following a room that has moved.
const (
	maxMoves  = 8           // from one room to the next
	aliasTime = time.Second // a homeserver may need to have the alias lead to the other
	aliasMost = 3           // of these
)

// entombed notes that a room has ended. One that ended before the user or the gateway
// was there is nobody's news. mu is held.
func (t *turn) entombed(r *room, live bool) {
	if !live || t.first || t.fresh {
		r.Followed = true
		return
	}
	t.moved = append(t.moved, r.id)
}

// follow goes to the room that has taken the place of one that ended.
func (n *network) follow(rid id.RoomID) {
	err := n.do(0, string(rid), func(ctx context.Context) { n.followed(ctx, rid) })
	if err != nil { // it is tried again when there is a connection
		n.log.Debug("matrix: a room that has moved is not followed", "room", rid, "error", err)
	}
}

// followAll follows those that could not be before the last connection ended.
func (n *network) followAll() {
	n.mu.Lock()
	var open []id.RoomID
	for rid, r := range n.rooms {
		if r.Moved != "" && !r.Followed {
			open = append(open, rid)
		}
	}
	n.mu.Unlock()
	for _, rid := range open {
		n.follow(rid)
	}
}

// followed joins the successor of a room and tells of it. It is left for the next
// connection where the homeserver cannot be asked.
func (n *network) followed(ctx context.Context, rid id.RoomID) {
	n.mu.Lock()
	r := n.rooms[rid]
	if r == nil || r.Moved == "" || r.Followed {
		n.mu.Unlock()
		return
	}
	user, direct := n.directs[rid]
	if direct = direct && !r.open; direct { // from the first, so that nothing is missed that is said at once
		n.directs[r.Moved] = user
	}
	called := r.called
	n.mu.Unlock()
	next, err := n.successor(ctx, r)
	if err != nil && notNow(err) {
		return
	}
	ev := &bridges.Moved{Room: bridges.RoomID(rid), Name: string(r.Moved), Reason: r.MovedText, In: err == nil}
	switch {
	case next == r: // it leads back here
		ev = nil
	case err == nil && direct:
		ev = nil // it is no room for the session
		if err := n.markDirect(ctx, next, user); err != nil {
			n.log.Warn("matrix: the chat that goes on in another room cannot be noted", "error", err)
		}
	case err == nil:
		ev.Name = n.nameAfter(ctx, called, rid, next)
	default:
		if direct {
			n.mu.Lock()
			delete(n.directs, r.Moved)
			n.mu.Unlock()
		}
		n.log.Debug("matrix: the room that takes another's place cannot be joined", "error", err)
	}
	t := n.begin()
	defer t.release()
	defer n.endOf(ctx, t)
	n.mu.Lock()
	defer n.mu.Unlock()
	r.Followed = true
	t.put(stateRoom+string(rid), r.roomState)
	if ev != nil {
		t.emit(ev)
	}
}

// notNow tells whether something may come right by itself.
func notNow(err *bridges.Error) bool {
	switch err.Kind {
	case bridges.Offline, bridges.Timeout, bridges.TemporaryRefuse, bridges.RateLimited, bridges.BadCredentials:
		return true
	}
	return false
}

// successor is the room that has taken a room's place in the end, joined. It is the room
// itself where the way leads back to one that was passed.
func (n *network) successor(ctx context.Context, r *room) (*room, *bridges.Error) {
	passed := map[id.RoomID]bool{r.id: true}
	for at := r; len(passed) <= maxMoves; {
		n.mu.Lock()
		next, by := at.Moved, at.MovedBy
		n.mu.Unlock()
		if next == "" {
			return at, nil
		}
		if passed[next] {
			return r, nil
		}
		passed[next] = true
		if _, _, server := splitID(string(by)); server != "" {
			n.d.remember(foldID(string(next)), []string{server})
		}
		var err *bridges.Error
		if at, err = n.reach(ctx, string(next)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// nameAfter is what the successor of a room is to be called: as the old one was, where
// that is an alias that leads there by now.
func (n *network) nameAfter(ctx context.Context, called string, old id.RoomID, next *room) string {
	if !strings.HasPrefix(called, "#") {
		n.mu.Lock()
		defer n.mu.Unlock()
		return next.address()
	}
	for try := 1; ; try++ {
		n.mu.Lock()
		if n.aliases[foldID(called)] == old { // it may lead elsewhere now
			delete(n.aliases, foldID(called))
		}
		n.mu.Unlock()
		rid, _, err := n.resolve(ctx, called)
		if err == nil && rid == next.id {
			return called
		}
		if try == aliasMost || !sleep(ctx, aliasTime) {
			break
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return next.address()
}

// instead refuses to enter a room that has ended, where the one in its place can be
// entered; where it cannot, the old one is there to be read.
func (n *network) instead(ctx context.Context, r *room) *bridges.Error {
	n.mu.Lock()
	moved := r.Moved != ""
	n.mu.Unlock()
	if !moved {
		return nil
	}
	next, err := n.successor(ctx, r)
	if err != nil || next == r {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return &bridges.Error{Kind: bridges.RoomMoved, Text: or(r.MovedText, "This room has ended. Another takes its place."), Instead: next.address()}
}
