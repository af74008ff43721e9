package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
	"transportd/internal/files"
)

// Bounds of the search for an upload service.
const (
	askTime  = 10 * time.Second // for an answer
	maxItems = 32               // of a server that are asked what they are
)

// asker asks things over the XMPP stream; *component.Stream is one.
type asker interface {
	Request(o *component.Out, timeout time.Duration, done func(*component.Stanza, error))
	NewID() string
}

// uploadSlots asks the XMPP server's upload service for places (XEP-0363), in the name
// of the gateway. It implements files.Slots.
type uploadSlots struct {
	stream asker
	domain component.JID // the gateway's
	named  component.JID // by the operator; zero: looked for

	mu      sync.Mutex // one looks at a time
	service component.JID
	max     int64 // bytes of a file; 0: not known
}

// Slot implements files.Slots.
func (u *uploadSlots) Slot(ctx context.Context, name, typ string, size int64) (files.Slot, error) {
	service, max, err := u.find(ctx)
	if err != nil {
		return files.Slot{}, err
	}
	if max > 0 && size > max {
		return files.Slot{}, errTooLargeThere
	}
	o := component.NewIQ(u.domain, service, "get", u.stream.NewID())
	xep.SlotRequest{Name: name, Type: typ, Size: size}.AppendTo(o)
	var slot xep.Slot
	var ok bool
	err = u.ask(ctx, o, func(st *component.Stanza) { slot, ok = xep.ParseSlot(st.Payload()) })
	var refused *component.StanzaError
	switch {
	case errors.As(err, &refused) && xep.UploadTooLarge(refused):
		return files.Slot{}, errTooLargeThere
	case err == nil && !ok:
		err = errors.New("the upload service answers with no place")
	}
	if err != nil {
		u.forget()
		return files.Slot{}, &bridges.Error{Kind: bridges.Forbidden, Text: "The XMPP server's file service gave the gateway no place for the file.", Err: err}
	}
	out := files.Slot{Put: slot.Put, Get: slot.Get, Header: http.Header{}}
	for _, h := range slot.Headers {
		out.Header.Add(h[0], h[1])
	}
	return out, nil
}

var (
	errTooLargeThere = bridges.NewError(bridges.TooLarge, "It is larger than the XMPP server's file service takes.")
	errNoService     = bridges.NewError(bridges.Unsupported, "The XMPP server has no file service.")
)

// find returns the service, and how large a file it takes. What was found is kept until
// the service refuses something.
func (u *uploadSlots) find(ctx context.Context) (component.JID, int64, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.service != (component.JID{}) {
		return u.service, u.max, nil
	}
	if u.named != (component.JID{}) {
		u.service = u.named
		u.max, _ = u.limit(ctx, u.named) // without an answer it is asked all the same
		return u.service, u.max, nil
	}
	for _, host := range parents(u.domain.Domain) {
		jid := component.JID{Domain: host}
		if max, ok := u.limit(ctx, jid); ok {
			u.service, u.max = jid, max
			return jid, max, nil
		}
		if jid, max, ok := u.among(ctx, u.items(ctx, jid)); ok {
			u.service, u.max = jid, max
			return jid, max, nil
		}
	}
	return component.JID{}, 0, errNoService
}

func (u *uploadSlots) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.service = component.JID{}
}

// parents are the domains above one, the nearest first. One of a single label is only
// asked where it is the nearest.
func parents(domain string) []string {
	var out []string
	for {
		_, up, ok := strings.Cut(domain, ".")
		if !ok || up == "" || len(out) > 0 && !strings.Contains(up, ".") {
			return out
		}
		out = append(out, up)
		domain = up
	}
}

// limit asks an address whether it is an upload service.
func (u *uploadSlots) limit(ctx context.Context, jid component.JID) (max int64, ok bool) {
	o := component.NewIQ(u.domain, jid, "get", u.stream.NewID()).Start(xep.NSDiscoInfo, "query").End()
	_ = u.ask(ctx, o, func(st *component.Stanza) { max, ok = xep.UploadLimit(st.Payload()) })
	return max, ok
}

// items asks a server what belongs to it.
func (u *uploadSlots) items(ctx context.Context, jid component.JID) (out []component.JID) {
	o := component.NewIQ(u.domain, jid, "get", u.stream.NewID()).Start(xep.NSDiscoItems, "query").End()
	_ = u.ask(ctx, o, func(st *component.Stanza) {
		for c := range st.Payload().Children() {
			item, err := component.ParseJID(c.Attr("jid"))
			if err == nil && item.Local == "" && c.Attr("node") == "" && item != u.domain && len(out) < maxItems {
				out = append(out, item.Clone())
			}
		}
	})
	return out
}

// among asks all items at once, and returns the first of them that is a service.
func (u *uploadSlots) among(ctx context.Context, items []component.JID) (component.JID, int64, bool) {
	type answer struct {
		max int64
		ok  bool
	}
	answers := make([]answer, len(items))
	var all sync.WaitGroup
	for i, item := range items {
		all.Go(func() { answers[i].max, answers[i].ok = u.limit(ctx, item) })
	}
	all.Wait()
	for i, a := range answers {
		if a.ok {
			return items[i], a.max, true
		}
	}
	return component.JID{}, 0, false
}

// ask sends a request and blocks until it is answered, failed, or ctx is done; read is
// called with a result, before ask returns or not at all.
func (u *uploadSlots) ask(ctx context.Context, o *component.Out, read func(*component.Stanza)) error {
	answered := make(chan error, 1)
	var late sync.Mutex
	over := false
	u.stream.Request(o, askTime, func(st *component.Stanza, err error) {
		late.Lock()
		defer late.Unlock()
		if err == nil && !over {
			read(st)
		}
		answered <- err
	})
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		late.Lock()
		defer late.Unlock()
		over = true
		return ctx.Err()
	}
}
