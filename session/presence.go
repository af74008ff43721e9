package session

import (
	"fmt"
	"slices"
	"strings"

	"transportd/bridges"
	"transportd/component"
)

// subscribed tells whether the user gets an address's presence.
func (s *Session) subscribed(jid component.JID) bool {
	return slices.Contains(s.watched, jid.String())
}

// answerSubscribe answers a subscription to an address without stored state: a
// network's is accepted, a room's never.
func (s *Session) answerSubscribe(st *component.Stanza, accept bool) {
	typ := "unsubscribed"
	if accept {
		typ = "subscribed"
	}
	s.send(component.NewPresence(st.To.Bare(), s.user, typ, ""))
}

// linkPresence is the state of a link as presence of its address.
func (s *Session) linkPresence(l *link, to component.JID) *component.Out {
	typ, show := "", ""
	switch l.kind {
	case bridges.Connecting:
		show = "xa"
	case bridges.Disconnected:
		typ = "unavailable"
		if !l.dead && (l.retry != nil || l.registered) {
			typ, show = "", "dnd"
		}
	}
	o := component.NewPresence(l.jid, to, typ, "")
	if show != "" {
		o.Elem("", "show", show)
	}
	if text := l.summary(); text != "" {
		o.Elem("", "status", text)
	}
	return o
}

// summary says in words where a link stands.
func (l *link) summary() string {
	switch l.kind {
	case bridges.Online:
		return "Connected as " + l.net.Self().Nick + "."
	}
	if l.text == "" {
		return ""
	}
	return upperFirst(strings.TrimRight(l.text, ".")) + "."
}

func upperFirst(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// announce sends the link's state to those who watch it.
func (l *link) announce() {
	s := l.s
	text := fmt.Sprint(l.kind, l.summary())
	if text == l.told {
		return
	}
	l.told = text
	if l.jid != s.m.domain && s.subscribed(l.jid) {
		s.send(s.linkPresence(l, s.user))
	}
	s.announceGateway()
}

// announceGateway sends the gateway's presence to the user when it says
// something new. Where there is one network it stands for that too.
func (s *Session) announceGateway() {
	if show, status := s.gatewayWords(); s.subscribed(s.m.domain) && show+status != s.toldGateway {
		s.send(s.gatewayState(s.user))
	}
}

// gatewayWords sums up the links.
func (s *Session) gatewayWords() (show, status string) {
	online, total := 0, 0
	var words []string
	for _, l := range s.links {
		if !l.registered {
			continue
		}
		total++
		if l.online() {
			online++
		}
		words = append(words, string(l.id)+": "+strings.TrimSuffix(l.summary(), "."))
	}
	switch {
	case s.loggedOut:
		return "xa", "Logged out."
	case total == 0:
		return "", "Ready."
	case online < total:
		show = "dnd"
	}
	return show, strings.Join(words, "; ") + "."
}

// gatewayState is that as presence of the gateway.
func (s *Session) gatewayState(to component.JID) *component.Out {
	show, status := s.gatewayWords()
	if to.IsBare() {
		s.toldGateway = show + status
	}
	o := component.NewPresence(s.m.domain, to, "", "")
	if show != "" {
		o.Elem("", "show", show)
	}
	o.Elem("", "status", status)
	if caps := s.m.caps.Load(); caps != nil {
		caps.AppendTo(o)
	}
	return o
}

// showState sends a client the state of everything the user watches.
func (s *Session) showState(to component.JID) {
	if s.subscribed(s.m.domain) {
		s.send(s.gatewayState(to))
	}
	for _, l := range s.links {
		if l.jid != s.m.domain && s.subscribed(l.jid) {
			s.send(s.linkPresence(l, to))
		}
	}
}

// announceAll tells those who watch how everything stands.
func (s *Session) announceAll() {
	for _, l := range s.links {
		l.told = ""
		l.announce()
	}
	s.announceGateway()
}
