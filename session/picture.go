package session

import (
	"container/list"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// Pictures makes a picture that a stranger chose safe to pass on, and small: it
// returns the bytes and their media type. It may block until ctx ends.
type Pictures func(ctx context.Context, r io.Reader) (data []byte, mediaType string, err error)

type picture struct {
	data      []byte
	mediaType string
	hash      string // SHA-1, in hexadecimal digits; empty: there is no picture that can be shown
}

// Bounds of the pictures of a gateway.
const (
	maxPictureBytes = 16 << 20 // that are remembered
	maxPictures     = 4096     // the same, those that cannot be shown included
	pictureAgain    = 10 * time.Minute
	pictureFetches  = 4 // at once; of one user one
	pictureWait     = time.Second
)

// pictures remembers pictures of people and rooms for all users of a gateway. It is safe
// for concurrent use.
type pictures struct {
	mu      sync.Mutex
	entries map[pictureKey]*list.Element // of *cachedPicture
	used    list.List                    // the one used last first
	bytes   int
	slots   chan struct{}
}

// pictureKey names a picture: the network's names are each account's own.
type pictureKey struct {
	user    component.JID
	network bridges.NetworkID
	ref     string
}

type cachedPicture struct {
	key pictureKey
	picture
	at time.Time
}

func newPictures() *pictures {
	return &pictures{entries: make(map[pictureKey]*list.Element), slots: make(chan struct{}, pictureFetches)}
}

// get returns a picture, and whether it is known. One that could not be shown is looked at
// again after a while.
func (c *pictures) get(key pictureKey) (picture, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return picture{}, false
	}
	p := e.Value.(*cachedPicture)
	if p.hash == "" && time.Since(p.at) > pictureAgain {
		c.remove(e)
		return picture{}, false
	}
	c.used.MoveToFront(e)
	return p.picture, true
}

func (c *pictures) put(key pictureKey, p picture) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
	c.entries[key] = c.used.PushFront(&cachedPicture{key, p, time.Now()})
	c.bytes += len(p.data)
	for c.bytes > maxPictureBytes || len(c.entries) > maxPictures {
		c.remove(c.used.Back())
	}
}

func (c *pictures) remove(e *list.Element) {
	p := c.used.Remove(e).(*cachedPicture)
	delete(c.entries, p.key)
	c.bytes -= len(p.data)
}

// fetchPicture reads a picture of the network's, where it is not known; it blocks, on a
// worker. Without one that can be shown it is empty: a card is worth telling without its
// picture.
func (s *Session) fetchPicture(ctx context.Context, l *link, ref string) (p picture) {
	opener, ok := l.net.(bridges.MediaOpener)
	if !ok || ref == "" || s.m.clean == nil {
		return picture{}
	}
	key := s.keyOf(l, ref)
	if p, known := s.m.pictures.get(key); known {
		return p
	}
	p, err := s.readPicture(ctx, opener, ref)
	switch {
	case err != nil:
		s.log.Debug("a picture cannot be shown", "error", err)
		if p = (picture{}); ctx.Err() != nil {
			return p
		}
	default:
		sum := sha1.Sum(p.data)
		p.hash = hex.EncodeToString(sum[:])
	}
	s.m.pictures.put(key, p)
	return p
}

// readPicture reads one from the network. What goes wrong over it costs the picture.
func (s *Session) readPicture(ctx context.Context, opener bridges.MediaOpener, ref string) (p picture, err error) {
	defer func() {
		if e := recover(); e != nil {
			s.m.stats.panics.Add(1)
			s.log.Error("reading a picture panicked", "panic", e, "stack", string(debug.Stack()))
			p, err = picture{}, errPanicked
		}
	}()
	media, err := opener.OpenMedia(ctx, ref)
	if err != nil {
		return picture{}, err
	}
	defer func() { _ = media.Close() }()
	p.data, p.mediaType, err = s.m.clean(ctx, media)
	return p, err
}

func (s *Session) keyOf(l *link, ref string) pictureKey { return pictureKey{s.user, l.id, ref} }

// photo writes the PHOTO of a vCard (XEP-0054).
func (p picture) photo(o *component.Out) {
	if len(p.data) == 0 {
		return
	}
	o.Start("", "PHOTO").Elem("", "TYPE", p.mediaType)
	o.Elem("", "BINVAL", base64.StdEncoding.EncodeToString(p.data)).End()
}

func (p picture) avatar() xep.Avatar {
	return xep.Avatar{Hash: p.hash, Type: p.mediaType, Data: p.data}
}

// hasPictures tells whether people of a network have pictures.
func (l *link) hasPictures() bool {
	_, ok := l.net.(bridges.MediaOpener)
	return ok && l.s.m.clean != nil
}

// maxWanted bounds the pictures a user's session waits for. Those of people who are left
// out are looked at when they are seen again.
const maxWanted = 500

// faces are the pictures a session waits for: fetched one after the other, so that many
// contacts are no storm.
type faces struct {
	waiting []wantedPicture
	busy    bool
}

type wantedPicture struct {
	l    *link
	ref  string
	then func()
}

// look returns a picture where it is known. Where it is not, then is called in the session
// once it is, or the link has ended, if waits is true: not where then is nil, or there is
// too much to look at.
func (s *Session) look(l *link, ref string, then func()) (p picture, known, waits bool) {
	if ref == "" || !l.hasPictures() {
		return picture{}, true, false
	}
	if p, known = s.m.pictures.get(s.keyOf(l, ref)); known || then == nil || len(s.faces.waiting) >= maxWanted {
		return p, known, false
	}
	s.faces.waiting = append(s.faces.waiting, wantedPicture{l, ref, then})
	s.nextPicture()
	return picture{}, false, true
}

// nextPicture fetches what waits, but for what is at networks that cannot be reached now.
func (s *Session) nextPicture() {
	for !s.faces.busy {
		i := slices.IndexFunc(s.faces.waiting, func(w wantedPicture) bool { return w.l.dead || w.l.online() })
		if i < 0 {
			break
		}
		w := s.faces.waiting[i]
		_, known := s.m.pictures.get(s.keyOf(w.l, w.ref))
		if !known && !w.l.dead {
			s.fetch(w)
			return
		}
		s.faces.waiting = slices.Delete(s.faces.waiting, i, i+1)
		w.then()
	}
	if len(s.faces.waiting) == 0 {
		s.faces.waiting = nil
	}
}

// fetch fetches one; where there is no room for it, a little later.
func (s *Session) fetch(w wantedPicture) {
	s.faces.busy = true
	next := func() { s.faces.busy = false; s.nextPicture() }
	select {
	case s.m.pictures.slots <- struct{}{}:
	default:
		s.after(pictureWait, next)
		return
	}
	if !s.work(func() func() {
		defer func() { <-s.m.pictures.slots }()
		ctx, cancel := s.m.queryContext()
		defer cancel()
		s.fetchPicture(ctx, w.l, w.ref)
		if ctx.Err() != nil { // it takes too long
			s.m.pictures.put(s.keyOf(w.l, w.ref), picture{})
		}
		return next
	}) {
		<-s.m.pictures.slots
		s.after(pictureWait, next)
	}
}

// appendPhoto writes the hash of a contact's picture into their presence, as far as it is
// known (XEP-0153); where it is not, presence comes again once it is.
func (s *Session) appendPhoto(o *component.Out, p *person) {
	l := p.l
	if !l.hasPictures() {
		return
	}
	var then func()
	if !p.wanted {
		then = func() {
			p.wanted = false
			if s.persons[p.local] == p && p.l == l && p.told && p.reachable() {
				s.showPerson(p)
			}
		}
	}
	face, known, waits := s.look(l, p.avatar, then)
	p.wanted = p.wanted || waits
	xep.AppendPhoto(o, face.hash, known)
}

// tellAvatar tells of a contact's picture as a personal event (XEP-0163), for clients that
// look for it there: to the user where it is another one, to a client anyhow.
func (s *Session) tellAvatar(p *person, to component.JID) {
	if p.l == nil || !p.l.hasPictures() {
		return
	}
	face, known, _ := s.look(p.l, p.avatar, nil)
	if !known || face.hash == p.pep && (to == s.user || face.hash == "") {
		return
	}
	o := component.NewMessage(s.jidOf(p), to, "headline", s.m.ids.next())
	o.Start(xep.NSPubSubEvent, "event").Start("", "items").Attr("node", xep.NSAvatarMeta)
	face.avatar().AppendMetadata(o)
	o.End().End()
	if s.send(o) && to == s.user {
		p.pep = face.hash
	}
}

// getItems answers who asks for a contact's picture as for a personal event (XEP-0084).
func (s *Session) getItems(st *component.Stanza, l *link, p *person) {
	node, ids, ok := xep.ParseItems(st.Element)
	if !ok || node != xep.NSAvatarMeta && node != xep.NSAvatarData || p == nil || p.avatar == "" || !l.hasPictures() {
		s.refuse(st, component.NewStanzaError("cancel", "item-not-found", ""))
		return
	}
	ref := p.avatar
	s.query(st, func(q *query) {
		face := s.fetchPicture(q.ctx, l, ref)
		var err error
		if face.hash == "" || len(ids) > 0 && ids[0] != face.hash {
			err = bridges.NewError(bridges.NotFound, "There is no such picture.")
		}
		q.answer(err, func() *component.Out {
			o := component.Result(st).Start(xep.NSPubSub, "pubsub").Start("", "items").Attr("node", node)
			if node == xep.NSAvatarMeta {
				face.avatar().AppendMetadata(o)
			} else {
				face.avatar().AppendData(o)
			}
			return o.End().End()
		})
	})
}

// maxFaced bounds the members of a room whose pictures are remembered as shown.
const maxFaced = 1000

// face shows the picture of somebody who has said something in a room: others are not
// looked at, as a room may have thousands.
func (r *room) face(m *bridges.Member) {
	if m.Avatar == "" || r.faced[m.ID] == m.Avatar || !r.inside() || len(r.seats) == 0 || !r.l.hasPictures() {
		return
	}
	id, ref, l := m.ID, m.Avatar, r.l
	show := func() {
		now, there := l.net.Member(r.id, id)
		if r.rooms[r.jid.Local] != r || r.l != l || !r.inside() || !there || now.Avatar != ref || r.faced[id] == ref {
			return
		}
		if p, _, _ := r.look(r.l, ref, nil); p.hash == "" {
			return
		}
		if r.faced == nil || len(r.faced) >= maxFaced {
			r.faced = make(map[bridges.UserID]string)
		}
		r.faced[id] = ref
		r.each(func(st *seat) { r.send(r.presence(st.jid, &now, nil)) })
	}
	if _, known, _ := r.look(r.l, ref, show); known {
		show()
	}
}
