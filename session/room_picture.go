package session

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"sync"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// nsPhotoUpdate tells which picture somebody has, by its hash (XEP-0153).
const nsPhotoUpdate = "vcard-temp:x:update"

// roomPicture is what is known of a room's picture (XEP-0486).
type roomPicture struct {
	ref  string // of the network's that hash is of, or that could not be shown
	hash string // SHA-1 in hexadecimal; empty: there is none to be shown
	told string // to the clients
}

// pictures are those shown last, so that clients which learn of one do not each have it
// fetched. Its methods are safe for concurrent use.
type pictures struct {
	mu    sync.Mutex
	byKey map[pictureKey]picture
	order []pictureKey // the oldest first
	size  int          // bytes
}

// pictureKey names a picture: the network's names are each account's own.
type pictureKey struct {
	user component.JID
	ref  string
}

// maxPictures bounds what is kept of them, in bytes.
const maxPictures = 8 << 20

func (c *pictures) get(k pictureKey) (picture, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.byKey[k]
	return p, ok
}

func (c *pictures) put(k pictureKey, p picture) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.byKey[k]; there || len(p.data) == 0 {
		return
	}
	if c.byKey == nil {
		c.byKey = make(map[pictureKey]picture)
	}
	c.byKey[k] = p
	c.order = append(c.order, k)
	for c.size += len(p.data); c.size > maxPictures && len(c.order) > 1; c.order = c.order[1:] {
		c.size -= len(c.byKey[c.order[0]].data)
		delete(c.byKey, c.order[0])
	}
}

// pictureOf is a picture of the network's, kept or fetched; it blocks, on a worker.
func (s *Session) pictureOf(ctx context.Context, net bridges.Network, ref string) picture {
	k := pictureKey{s.user, ref}
	if p, ok := s.m.kept.get(k); ok {
		return p
	}
	p := s.fetchPicture(ctx, net, ref)
	s.m.kept.put(k, p)
	return p
}

// wantPicture has the room's picture looked at, once a client is there to see it: one
// room of the user's after the other, since there may be a thousand.
func (r *room) wantPicture() {
	if r.m.pictures == nil || r.info == nil || len(r.seats) == 0 || r.picture.ref == r.info.Avatar {
		return
	}
	if r.info.Avatar == "" { // there was one
		r.picture.ref, r.picture.hash = "", ""
		r.tellPicture()
		return
	}
	if r.looking {
		return
	}
	r.looking = true
	r.toLook = append(r.toLook, r)
	r.lookNext()
}

// lookNext looks at the picture of the first room that waits. Where nobody is free for
// that, it is left until the next time something asks for it.
func (s *Session) lookNext() {
	for len(s.toLook) > 0 && !s.lookingAt {
		r := s.toLook[0]
		s.toLook = s.toLook[1:]
		ref := ""
		if s.rooms[r.jid.Local] == r && r.info != nil {
			ref = r.info.Avatar
		}
		net := r.l.net
		if ref != "" && s.work(func() (then func()) {
			hash, done := "", func() { s.looked(r, ref, "") }
			defer func() {
				if p := recover(); p != nil {
					s.m.stats.panics.Add(1)
					s.log.Error("a picture cannot be looked at", "panic", p)
					then = done
				}
			}()
			ctx, cancel := s.m.queryContext()
			defer cancel()
			if p := s.pictureOf(ctx, net, ref); len(p.data) > 0 {
				sum := sha1.Sum(p.data)
				hash = hex.EncodeToString(sum[:])
			}
			return func() { s.looked(r, ref, hash) }
		}) {
			s.lookingAt = true
			return
		}
		r.looking = false
	}
}

// looked notes what a room's picture is.
func (s *Session) looked(r *room, ref, hash string) {
	r.looking, s.lookingAt = false, false
	if s.rooms[r.jid.Local] == r {
		r.picture.ref, r.picture.hash = ref, hash
		r.tellPicture()
		r.wantPicture() // it may be another by now
	}
	s.lookNext()
}

// tellPicture tells the clients that the room has another picture: those that look at
// what the room is, and those that wait for its presence (XEP-0486 sections 3.2 and 5.2).
func (r *room) tellPicture() {
	if r.picture.hash == r.picture.told {
		return
	}
	r.picture.told = r.picture.hash
	r.tellChanged()
	r.each(r.showPicture)
}

// showPicture shows a client which picture the room has.
func (r *room) showPicture(st *seat) {
	o := component.NewPresence(r.jid, st.jid, "", "")
	r.send(o.Start(nsPhotoUpdate, "x").Elem("", "photo", r.picture.hash).End())
}

// roomCard answers with the room's name and picture (XEP-0486 section 3.4).
func (s *Session) roomCard(st *component.Stanza, r *room) {
	if r == nil || r.info == nil {
		s.refuse(st, component.NewStanzaError("cancel", "item-not-found", "Nothing is known of this room."))
		return
	}
	info, net := *r.info, r.l.net
	title := r.title()
	s.query(st, func(q *query) {
		face := s.pictureOf(q.ctx, net, info.Avatar)
		q.answer(nil, func() *component.Out {
			o := component.Result(st).Start(xep.NSVCard, "vCard").Elem("", "FN", title)
			if info.Description != "" {
				o.Elem("", "DESC", info.Description)
			}
			face.photo(o)
			return o.End()
		})
	})
}
