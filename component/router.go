package component

import (
	"errors"

	"gosrc.io/xmpp/stanza"
)

// AddressKind says what an address in the gateway's domain stands for.
type AddressKind uint8

// The kinds of addresses of a gateway.
const (
	AddressHost     AddressKind = iota // the gateway itself
	AddressNetwork                     // a network: console, registration
	AddressRoom                        // a room, bare
	AddressOccupant                    // an occupant of a room
	AddressPerson                      // a person on the network
	addressKinds
)

// Handler takes one stanza. It is called from the read loop and must not block:
// what needs to wait is put into a queue.
type Handler func(*Stanza)

// Router gives each stanza to the handler that is responsible for it: a map on
// the kind of address, the kind and type of stanza, and the payload's name. The
// most exact entry wins.
//
// All handlers are registered before the first stanza is routed; from then on
// the router is read-only.
type Router struct {
	domain   JID
	classify func(JID) (AddressKind, error)
	reply    func(*Out) bool
	tables   [addressKinds][KindIQ + 1]routeTable
}

// routeTable holds the handlers of one kind of address and stanza.
type routeTable struct {
	payload map[routeKey]Handler // by type, namespace and name
	plain   map[string]Handler   // by type alone
}

type routeKey struct {
	typ, space, name string
}

// NewRouter returns a router for the stanzas to a domain. classify says what an
// address stands for; its error answers the stanza: a [StanzaError] as it is, any
// other as item-not-found. reply sends an answer and must not block:
// [Stream.TrySend].
func NewRouter(domain JID, classify func(JID) (AddressKind, error), reply func(*Out) bool) *Router {
	return &Router{domain: domain, classify: classify, reply: reply}
}

// Handle registers a handler. typ "" means any type, "error" included; for
// presence "available" and for messages "normal" name the stanzas without a type.
// With space and name the handler gets stanzas that have such a child (an IQ: as
// its payload); with both empty it gets any.
func (r *Router) Handle(kind AddressKind, k Kind, typ, space, name string, h Handler) {
	t := &r.tables[kind][k]
	if space == "" && name == "" {
		if t.plain == nil {
			t.plain = make(map[string]Handler)
		}
		t.plain[typ] = h
		return
	}
	if t.payload == nil {
		t.payload = make(map[routeKey]Handler)
	}
	t.payload[routeKey{typ, space, name}] = h
}

// Route gives a stanza to its handler, or answers it when there is none:
// service-unavailable to an IQ get or set and to a message for the gateway
// itself, nothing to the rest. Errors and results are never answered. The read
// loop calls it.
func (r *Router) Route(s *Stanza) {
	if s.Kind == KindIQ && !r.validIQ(s) {
		return
	}
	kind, err := r.classify(s.To)
	if err != nil {
		r.refuse(s, err)
		return
	}
	if h := r.find(&r.tables[kind][s.Kind], s); h != nil {
		h(s)
		return
	}
	if s.Kind == KindIQ || (s.Kind == KindMessage && kind == AddressHost) {
		r.answer(s, NewStanzaError(stanza.ErrorTypeCancel, "service-unavailable", ""))
	}
}

// validIQ reports whether an IQ is a request with a payload and answers it
// when it is anything else.
func (r *Router) validIQ(s *Stanza) bool {
	switch s.Type {
	case "get", "set":
		if s.Payload() != nil && s.ID != "" {
			return true
		}
	case "result", "error":
		return false
	}
	r.answer(s, NewStanzaError(stanza.ErrorTypeModify, "bad-request", ""))
	return false
}

func (r *Router) find(t *routeTable, s *Stanza) Handler {
	typ := s.Type
	if typ == "" {
		switch s.Kind {
		case KindPresence:
			typ = "available"
		case KindMessage:
			typ = "normal"
		}
	}
	if t.payload != nil {
		for c := range s.Children() {
			if h := t.payload[routeKey{typ, c.Space, c.Name}]; h != nil {
				return h
			}
			if h := t.payload[routeKey{"", c.Space, c.Name}]; h != nil {
				return h
			}
			if s.Kind == KindIQ {
				break
			}
		}
	}
	if h := t.plain[typ]; h != nil {
		return h
	}
	return t.plain[""]
}

// refuse answers a stanza whose address means nothing.
func (r *Router) refuse(s *Stanza, err error) {
	if s.Kind == KindPresence && s.Type == "unavailable" {
		return
	}
	var se *StanzaError
	if !errors.As(err, &se) {
		se = NewStanzaError(stanza.ErrorTypeCancel, "item-not-found", "There is nothing at this address.")
	}
	r.answer(s, se)
}

func (r *Router) answer(s *Stanza, e *StanzaError) {
	if o := ErrorReply(s, e); o != nil {
		r.reply(o)
	}
}
