package session

import (
	"strings"
	"time"
	"unicode/utf8"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// heardAbout hears a line that refers to earlier ones or has files, or that came
// after one that is still being looked up or copied.
func (r *room) heardAbout(ev *bridges.Message) {
	if r.hearing.full() {
		r.hear(ev, nil, nil, nil)
		return
	}
	answered := bridges.MessageID("")
	if ev.ReplyTo != nil {
		answered = ev.ReplyTo.ID
	}
	r.l.comparing++
	l := r.l
	r.hearing.do(func(done func()) {
		r.shownID(replaced(ev), func(replaces *line) {
			r.shownID(answered, func(answers *line) {
				r.copyFiles(l, ev, func(put []copied) {
					if r.rooms[r.jid.Local] == r {
						r.hear(ev, put, replaces, answers)
					}
					done()
					l.compared()
				})
			})
		})
	})
}

// adorn gives a line what a message says beside its text.
func (r *room) adorn(l *line, ev *piece, replaces, answers *line) {
	quote := 0
	var reply xep.Reply
	if ev.ReplyTo != nil {
		l.body, quote = quoted(ev.ReplyTo, answers, l.body)
		reply = r.replyTo(ev.ReplyTo, answers)
	}
	body := l.body
	l.extra = component.Fragment(func(o *component.Out) {
		if replaces != nil {
			xep.AppendReplace(o, replaces.id)
		}
		if reply.ID != "" {
			reply.AppendTo(o)
		}
		appendParts(o, ev, quote)
		r.appendMentions(o, ev.Mentions, body, quote)
	})
}

// replyTo names the line that is answered by its stanza-id (XEP-0461 section 3.1).
func (r *room) replyTo(re *bridges.Reply, answers *line) xep.Reply {
	if answers == nil {
		return xep.Reply{}
	}
	reply := xep.Reply{ID: answers.sid}
	if nick := answers.from; nick != "" {
		reply.To = r.occupant(nick)
	} else if re.From.Nick != "" {
		reply.To = r.occupant(re.From.Nick)
	}
	return reply
}

// quoted puts what is answered before a body, for clients that know no replies, and
// tells how many characters that is (XEP-0461 section 4).
func quoted(re *bridges.Reply, answers *line, body string) (string, int) {
	text, who := re.Text, re.From.Nick
	if answers != nil {
		text, who = answers.body, answers.from
	}
	if text == "" {
		return body, 0
	}
	text = shorten(text)
	if who != "" {
		text = who + ": " + text
	}
	quote := "> " + text + "\n"
	return quote + body, utf8.RuneCountInString(quote)
}

// appendParts writes what a message says beside its text and its references; the
// first quote characters of the text only repeat what is answered.
func appendParts(o *component.Out, ev *piece, quote int) {
	if quote > 0 {
		xep.Fallback{For: xep.NSReply, Body: []xep.Range{{Start: 0, End: quote}}, WholeSubject: false}.AppendTo(o)
	}
	if ev.Thread != "" {
		o.Elem("", "thread", string(ev.Thread))
	}
	if ev.HTML != "" {
		appendLooks(o, ev.HTML)
	}
	if ev.file != nil {
		appendFile(o, ev)
	}
	if ev.Location != nil {
		appendLocation(o, ev)
	}
}

// replace notes in the archive and in memory that an earlier line says something
// else now.
func (r *room) replace(old, now *line) {
	body := strings.TrimSpace(now.body)
	if r.rec != nil && !old.key.IsZero() && old.key != now.key {
		r.rec.Amend(old.key, body, old.extra, time.Now())
	}
	r.changeLine(old.net, func(l *line) { l.body = body })
}

// changeLine changes a line that is remembered.
func (r *room) changeLine(id bridges.MessageID, f func(*line)) {
	if id == "" {
		return
	}
	for i := range r.lines {
		if r.lines[i].net == id {
			f(&r.lines[i])
			return
		}
	}
}

// about is an event that is about an earlier line of a room.
type about struct {
	id     bridges.MessageID
	from   string // nick of who did it; empty: the room
	occ    string // identity of who did it
	self   bool
	at     time.Time
	body   string
	parts  func(*component.Out, *line)
	effect func(target, shown *line)
}

// onAbout shows an event about an earlier line, in its turn. One about a line that
// nobody here has seen is about nothing.
func (r *room) onAbout(a *about) {
	if r.hearing.full() {
		return
	}
	link := r.l
	link.comparing++
	r.hearing.do(func(done func()) {
		r.shownID(a.id, func(target *line) {
			if target != nil && r.rooms[r.jid.Local] == r {
				r.showAbout(a, target)
			}
			done()
			link.compared()
		})
	})
}

func (r *room) showAbout(a *about, target *line) {
	now := time.Now()
	l := line{from: a.from, body: a.body, at: timeOr(a.at, now), came: notGiven, self: a.self, occ: a.occ}
	l.extra = component.Fragment(func(o *component.Out) { a.parts(o, target) })
	r.record(&l, archive.Heard{Extra: l.extra}, now)
	r.m.stats.toUsers.Add(1)
	for _, st := range r.seats {
		if st.in && !st.unsure {
			r.show(st, r.message(st.jid, &l, false))
		}
	}
	if a.effect != nil {
		a.effect(target, &l)
	}
}

// onReacted shows somebody's reactions to a line (XEP-0444).
func (r *room) onReacted(ev *bridges.Reacted) {
	r.onAbout(&about{id: ev.ID, from: ev.From.Nick, occ: ev.From.Identity, self: ev.Self, at: ev.At,
		parts: func(o *component.Out, target *line) {
			xep.Reactions{ID: target.sid, Emoji: ev.Keys}.AppendTo(o)
			xep.Store.AppendTo(o)
		},
	})
}

// moderatedText is for clients that know no moderation.
const moderatedText = "A message was removed by a moderator."

// onRetracted shows that a line was taken back, by its author (XEP-0424) or by
// somebody who may do so (XEP-0425): then the room says it.
func (r *room) onRetracted(ev *bridges.Retracted) {
	a := &about{id: ev.ID, from: ev.By.Nick, occ: ev.By.Identity, self: ev.Self, at: ev.At, body: "/me takes back a message"}
	if ev.Others {
		a.from, a.occ, a.self, a.body = "", "", false, moderatedText
	}
	a.parts = func(o *component.Out, target *line) {
		o.Start(xep.NSRetract, "retract").Attr("id", target.sid)
		if ev.Others {
			r.appendModerated(o, ev)
			o.Elem("", "reason", ev.Reason)
		}
		o.End()
		xep.Fallback{For: xep.NSRetract, WholeBody: true, WholeSubject: true}.AppendTo(o)
		xep.Store.AppendTo(o)
	}
	a.effect = func(target, shown *line) {
		at := time.Now()
		if r.rec != nil && !target.key.IsZero() {
			r.rec.Retract(target.key, component.Fragment(func(o *component.Out) { r.appendTombstone(o, ev, shown.id, at) }), at)
		}
		r.changeLine(target.net, func(l *line) { l.body, l.extra, l.retracted = "", nil, at.UnixMicro() })
	}
	r.onAbout(a)
	said := *a // what was said about a file, where it was one
	said.id = partOf(ev.ID, 2)
	r.onAbout(&said)
}

func (r *room) appendModerated(o *component.Out, ev *bridges.Retracted) {
	by := r.jid
	if ev.By.Nick != "" {
		by = r.occupant(ev.By.Nick)
	}
	o.Start(xep.NSModerate, "moderated").Attr("by", by.String())
	r.occupantID(o, ev.By.Identity)
	o.End()
}

// appendTombstone writes what stands in the archive in place of a line that was
// taken back.
func (r *room) appendTombstone(o *component.Out, ev *bridges.Retracted, id string, at time.Time) {
	if !ev.Others {
		xep.AppendRetracted(o, id, at)
		return
	}
	o.Start(xep.NSRetract, "retracted").Attr("id", id).Attr("stamp", component.FormatTime(at))
	r.appendModerated(o, ev)
	if ev.Reason != "" {
		o.Elem("", "reason", ev.Reason)
	}
	o.End()
}

// moderate takes a line back in the name of the room (XEP-0425 section 4).
func (r *room) moderate(st *component.Stanza) {
	m, ok := xep.ParseModerate(st.Payload())
	caps := r.l.net.Capabilities(bridges.Place{Room: r.id})
	retractor, able := r.l.net.(bridges.Retractor)
	switch {
	case !ok:
		r.refuse(st, component.NewStanzaError("modify", "bad-request", "The request names no message."))
		return
	case !caps.Retract || !able:
		r.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "")))
		return
	}
	r.netID(m.ID, func(id bridges.MessageID) {
		if id == "" {
			r.refuse(st, component.NewStanzaError("cancel", "item-not-found", "The gateway does not know that message."))
			return
		}
		r.act(r.l, outcomeFunc(func(ev bridges.Event) {
			if _, _, err := outcomeOf(ev); err != nil {
				r.refuse(st, StanzaError(err))
				return
			}
			r.send(component.Result(st))
			if done, ok := ev.(*bridges.Retracted); ok && r.rooms[r.jid.Local] == r {
				done.Others, done.Reason = true, m.Reason
				r.onRetracted(done)
			}
		}), func(ref bridges.Ref) error {
			return retractor.Retract(ref, newToken(), bridges.Place{Room: r.id}, id, m.Reason)
		})
	})
}
