package component

import (
	"strings"
	"sync"
	"time"
)

// Namespaces of privileges (XEP-0356). Servers speak one of them.
const (
	NSPrivilege  = "urn:xmpp:privilege:2"
	NSPrivilege1 = "urn:xmpp:privilege:1"
)

// Bounds of what servers grant.
const (
	// maxGranting is how many domains may grant something: those of one server.
	maxGranting = 64
	// grantWait is how long after the handshake a server is given to say what it grants;
	// servers say it at once.
	grantWait = 3 * time.Second
)

// Privileges is what a server lets the component do for the users of a domain
// (XEP-0356). The zero value is nothing.
type Privileges struct {
	Space                string // the namespace the server speaks
	RosterGet, RosterSet bool   // read and change their contact lists (section 4)
	Messages             bool   // send messages from their bare addresses (section 5)
	PubSubGet, PubSubSet bool   // make requests of theirs about publish-subscribe (section 6)
}

// privileges are those of the present connection. A domain grants only what concerns
// its own users, so that it does not matter who else says so.
type privileges struct {
	mu     sync.Mutex
	since  time.Time
	grants map[string]Privileges // by domain
}

// begin is called for each connection, before anything is read from it.
func (p *privileges) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.grants = time.Now(), nil
}

// Privileges returns what the component may do for the users of a domain, over the
// present connection. known is false while the server may still be about to say it.
func (s *Stream) Privileges(domain string) (p Privileges, known bool) {
	s.privileges.mu.Lock()
	defer s.privileges.mu.Unlock()
	p, known = s.privileges.grants[domain]
	return p, known || time.Since(s.privileges.since) >= grantWait
}

// told takes what a server says of privileges, and tells whether a stanza was that:
// that it grants some, or that it refused to act on one.
func (p *privileges) told(st *Stanza) (Privileges, bool) {
	if st.Kind != KindMessage || st.From.Local != "" || st.From.Resource != "" || st.To.Local != "" {
		return Privileges{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	granted, has := p.grants[st.From.Domain]
	if st.Type == "error" {
		// Only messages in a user's name are sent to a server itself.
		e := st.StanzaError()
		if !granted.Messages || e == nil || e.Condition != "forbidden" {
			return Privileges{}, false
		}
		granted.Messages = false
		p.grants[st.From.Domain] = granted
		return granted, true
	}
	granted, ok := parsePrivileges(st)
	if !ok {
		return Privileges{}, false
	}
	if has || len(p.grants) < maxGranting {
		if p.grants == nil {
			p.grants = make(map[string]Privileges)
		}
		p.grants[strings.Clone(st.From.Domain)] = granted
	}
	return granted, true
}

// parsePrivileges reads an advertisement of privileges (XEP-0356 section 4.2).
func parsePrivileges(st *Stanza) (p Privileges, ok bool) {
	for _, space := range []string{NSPrivilege, NSPrivilege1} {
		e := st.Child(space, "privilege")
		if e == nil {
			continue
		}
		p.Space, ok = space, true
		for perm := range e.Children() {
			if perm.Space != space || perm.Name != "perm" {
				continue
			}
			switch typ := perm.Attr("type"); perm.Attr("access") {
			case "roster":
				p.RosterGet, p.RosterSet = typ == "get" || typ == "both", typ == "set" || typ == "both"
			case "message":
				p.Messages = typ == "outgoing"
			case "iq":
				p.requests(perm)
			}
		}
		return p, true
	}
	return p, false
}

// requests reads which requests may be made. Some servers put one namespace into the
// other.
func (p *Privileges) requests(perm *Element) {
	for ns := range perm.Children() {
		if ns.Space != p.Space || ns.Name != "namespace" {
			continue
		}
		if typ := ns.Attr("type"); ns.Attr("ns") == nsPubSub {
			p.PubSubGet, p.PubSubSet = typ == "get" || typ == "both", typ == "set" || typ == "both"
		}
		p.requests(ns)
	}
}

// nsPubSub is publish-subscribe (XEP-0060).
const nsPubSub = "http://jabber.org/protocol/pubsub"

// AppendPrivilegedIQ writes into a request to a user the one that the user's server is
// to take as made by the user, to the user's own account (XEP-0356 section 6.3). fill
// writes its payload.
func (p Privileges) AppendPrivilegedIQ(o *Out, user JID, typ, id string, fill func(*Out)) {
	o.Start(p.Space, "privileged_iq")
	o.Start("jabber:client", "iq").Attr("type", typ).Attr("id", id).AttrJID("from", user).AttrJID("to", user)
	fill(o)
	o.End().End()
}

// PrivilegedAnswer is the answer to such a request in the server's to the outer one; nil
// where it was refused.
func PrivilegedAnswer(st *Stanza) *Element {
	for _, space := range []string{NSPrivilege, NSPrivilege1} {
		iq := st.Child(space, "privilege").Child("urn:xmpp:forward:0", "forwarded").Child("jabber:client", "iq")
		if iq != nil && iq.Attr("type") == "result" {
			return iq
		}
	}
	return nil
}

// AppendPrivileged writes into a message to a user's server another one that it is to
// send from the user's bare address (XEP-0356 section 5.3, XEP-0297). fill writes what
// is in that.
func (p Privileges) AppendPrivileged(o *Out, from, to JID, typ, id string, fill func(*Out)) {
	o.Start(p.Space, "privilege").Start("urn:xmpp:forward:0", "forwarded")
	o.Start("jabber:client", "message").AttrJID("from", from).AttrJID("to", to).OptAttr("type", typ).OptAttr("id", id)
	fill(o)
	o.End().End().End()
}
