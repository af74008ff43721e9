package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// occupantIDs makes ids of occupants (XEP-0421) with a gateway's key. It is safe
// for concurrent use.
type occupantIDs struct{ pool sync.Pool }

// occupantHash is what one id is made with. It is used again: every line carries
// an id where a network tells accounts.
type occupantHash struct {
	mac hash.Hash
	in  []byte
	out [sha256.Size]byte
}

func newOccupantIDs(key []byte) *occupantIDs {
	return &occupantIDs{sync.Pool{New: func() any { return &occupantHash{mac: hmac.New(sha256.New, key)} }}}
}

// of is the id of somebody in a room: the same for the same identity, and of no
// use to recognize the person in another room.
func (g *occupantIDs) of(network bridges.NetworkID, room bridges.RoomID, identity string) string {
	h := g.pool.Get().(*occupantHash)
	defer g.pool.Put(h)
	h.in = append(append(h.in[:0], network...), 0)
	h.in = append(append(h.in, room...), 0)
	h.in = append(h.in, identity...)
	h.mac.Reset()
	h.mac.Write(h.in)
	return base64.RawURLEncoding.EncodeToString(h.mac.Sum(h.out[:0])[:18])
}

// occupantID adds a XEP-0421 id where the network tells accounts.
func (r *room) occupantID(o *component.Out, identity string) {
	if identity != "" && r.l.net.Capabilities(bridges.Place{Room: r.id}).Accounts {
		xep.AppendOccupantID(o, r.m.occupants.of(r.l.id, r.id, identity))
	}
}
