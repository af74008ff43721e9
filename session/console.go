package session

import (
	"strings"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// notice shows text of the network's in its console: as a chat once the user
// has used it, before that unobtrusively.
func (l *link) notice(ev *bridges.ServerNotice) {
	typ := "headline"
	if l.console {
		typ = "chat"
	}
	text := ev.Text
	if ev.From != "" && !strings.Contains(ev.From, ".") {
		text = "<" + ev.From + "> " + text
	}
	k := keptMessage{from: l.jid, body: text, id: l.s.m.ids.next(), at: time.Now()}
	if typ == "chat" {
		l.s.showPrivate(k, false)
		return
	}
	l.s.send(component.NewMessage(l.jid, l.s.user, typ, k.id).Elem("", "body", text))
}

// console runs raw lines of the network's (as "MOTD" or "WHOIS nick").
func (s *Session) console(st *component.Stanza, addr bridges.Address) {
	if st.Type == "error" {
		return
	}
	body, ok := st.Body()
	if !ok || strings.TrimSpace(body) == "" {
		return
	}
	if st.Type == "groupchat" {
		s.refuse(st, component.NewStanzaError("modify", "not-acceptable", "This is the network's console, not a room."))
		return
	}
	s.withLink(st, addr.Network, func(l *link) {
		con, ok := l.net.(bridges.Console)
		if !ok {
			s.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "There is no such command. Send “help” to see what there is.")))
			return
		}
		l.console, l.lastLine = true, time.Now()
		raws := lines(body)
		q := &consoleRequest{l: l, st: st, waiting: len(raws)}
		for _, raw := range raws {
			raw = strings.TrimPrefix(raw, "/") // as people type commands
			s.act(l, q, func(ref bridges.Ref) error { return con.Raw(ref, raw) })
		}
	})
}

// consoleRequest is a message to the console that waits for the outcome of its
// lines: a receipt when the network has taken all of them, else one error.
type consoleRequest struct {
	l       *link
	st      *component.Stanza
	waiting int
	failed  bool
}

func (q *consoleRequest) outcome(s *Session, ev bridges.Event) {
	q.waiting--
	switch ev := ev.(type) {
	case *bridges.Failed:
		if !q.failed {
			q.failed = true
			s.refuse(q.st, lineError(ev.Err))
		}
	case *bridges.Done:
		if ev.Text != "" {
			q.l.notice(&bridges.ServerNotice{Text: ev.Text})
		}
	}
	if q.waiting == 0 && !q.failed && xep.WantsReceipt(q.st.Element) && q.st.ID != "" {
		s.receipt(q.st)
	}
}

// lines splits a text into its lines that say something.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
