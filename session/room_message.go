package session

import (
	"fmt"
	"strings"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// maxSent bounds the lines of one room that wait for the network.
const maxSent = 256

// onGroupchat is what a client says in a room (XEP-0045 section 7.4).
func (r *room) onGroupchat(st *component.Stanza) {
	seat := r.seat(st.From.Resource)
	if seat == nil || !r.entered() {
		r.refuse(st, StanzaError(bridges.NewError(bridges.NotJoined, "")))
		return
	}
	if subject := st.Child("", "subject"); subject != nil {
		if _, hasBody := st.Body(); !hasBody && st.Child("", "thread") == nil {
			r.setSubject(st, subject.Text())
			return
		}
	}
	if r.state != roomIn || !r.l.online() {
		r.refuse(st, StanzaError(bridges.NewError(bridges.Offline, "The connection to the network is interrupted; try again in a moment.")))
		return
	}
	caps := r.l.net.Capabilities(bridges.Place{Room: r.id})
	if caps.Once {
		r.l.out.say(st, r)
		return
	}
	if refersToLines(&caps) || caps.HTML {
		r.utter(st, &caps)
		return
	}
	out, ok := r.readable(st)
	if !ok {
		return // nothing IRC-like networks could show: chat states, markers
	}
	if r.sent >= maxSent {
		r.m.stats.busy.Add(1)
		r.refuse(st, StanzaError(bridges.NewError(bridges.RateLimited, "")))
		return
	}
	r.sent++
	r.act(r.l, &spoken{r: r, st: st}, func(ref bridges.Ref) error {
		return r.l.net.Send(ref, bridges.Place{Room: r.id}, out)
	})
}

// utter says something on a network that has more forms than text.
func (r *room) utter(st *component.Stanza, caps *bridges.Caps) {
	if r.sent >= maxSent {
		r.m.stats.busy.Add(1)
		r.refuse(st, StanzaError(bridges.NewError(bridges.RateLimited, "")))
		return
	}
	r.sent++
	spot := r.spot(caps)
	r.saying.do(func(done func()) {
		spot.utter(st, newToken(), func(q wish) {
			if q.do == nil {
				r.sent--
			} else {
				r.act(r.l, &spoken{r: r, st: st, instead: q.instead}, q.do)
			}
			done()
		})
	})
}

// spoken is a line of the user's that waits for the network to take it.
type spoken struct {
	r       *room
	st      *component.Stanza
	instead ask
}

func (w *spoken) outcome(s *Session, ev bridges.Event) {
	id, at, err := outcomeOf(ev)
	if err != nil && !err.Uncertain && w.instead != nil {
		instead := w.instead
		w.instead = nil
		s.act(w.r.l, w, instead)
		return
	}
	w.r.sent--
	if err != nil {
		s.refuse(w.st, lineError(err))
		return
	}
	s.m.stats.toNetwork.Add(1)
	w.r.reflect(w.st, id, at, false)
}

// lineError says of a lost line whether it may have arrived all the same.
func lineError(err *bridges.Error) *component.StanzaError {
	e := StanzaError(err)
	if err.Uncertain {
		e.Type, e.Condition = "wait", "remote-server-timeout"
		if !strings.Contains(e.Text, "may") {
			e.Text += " The message may have been delivered."
		}
	}
	return e
}

// reflect shows a line of the user's to all the user's clients once the network
// has taken it: whole, and with the id the client gave it. An old one goes where it
// belongs by its time.
func (r *room) reflect(st *component.Stanza, id bridges.MessageID, at time.Time, old bool) {
	body, _ := st.Body()
	now := time.Now()
	l := line{id: st.ID, net: id, from: r.nick, body: body, at: timeOr(at, now), came: notGiven, self: true, occ: r.self.Identity}
	r.recordOwn(&l, st, now, old)
	if body != "" {
		r.remembered(&l)
	}
	from := r.occupant(r.nick)
	r.each(func(seat *seat) {
		o := component.NewMessage(from, seat.jid, "groupchat", l.id)
		for c := range st.Children() {
			// A stanza-id of ours that the client made up is not passed on (XEP-0359 section 4).
			if c.Space == xep.NSStanzaID && c.Name == "stanza-id" || c.Space == xep.NSOccupantID || c.Space == xep.NSDelay {
				continue
			}
			o.Copy(c)
		}
		xep.AppendStanzaID(o, l.sid, r.jid)
		r.occupantID(o, l.occ)
		r.show(seat, o)
	})
	r.given(l.seq, now)
}

// show sends a line to a client; without a stream the client catches up later.
func (r *room) show(st *seat, o *component.Out) {
	if !r.send(o) { // which has noted that the stream is down
		st.unsure, st.seen = true, min(st.seen, r.seq-1)
	}
}

// onMessage is a line from the network.
func (r *room) onMessage(ev *bridges.Message) {
	if ev.Replay && r.rec != nil && !ev.At.IsZero() {
		r.onPlayback(ev)
		return
	}
	r.heard(ev)
	if !ev.Replay {
		r.face(&ev.From)
	}
}

// heard stores and shows a line from the network.
func (r *room) heard(ev *bridges.Message) {
	if ev.Kind == bridges.NewSubject {
		r.leftOut(ev)
		r.recordOldSubject(ev)
		return
	}
	if ev.Replaces != "" || ev.ReplyTo != nil || len(ev.Files) > 0 || r.hearing.busy {
		r.heardAbout(ev)
		return
	}
	r.hear(ev, nil, nil, nil)
}

// hear is heard for a line whose references are known: the line it replaces and
// the one it answers, nil where there is none; and where its files lie.
func (r *room) hear(ev *bridges.Message, put []copied, replaces, answers *line) {
	r.leftOut(ev)
	if len(ev.Files) == 0 {
		r.hearPart(&piece{Message: ev}, replaces, answers)
		return
	}
	for _, part := range r.split(r.l, ev, put) {
		r.hearPart(&part, replaces, answers)
		replaces = nil
	}
}

func (r *room) hearPart(ev *piece, replaces, answers *line) {
	now := time.Now()
	l := line{id: fitID(string(ev.ID)), from: ev.From.Nick, body: bodyOf(ev.Message), at: timeOr(ev.At, now), came: notGiven, self: ev.Self, occ: ev.From.Identity}
	caps := r.l.net.Capabilities(bridges.Place{Room: r.id})
	in := archive.Heard{NetID: string(ev.ID), Private: ev.To != "", InPlace: ev.Replay && !ev.At.IsZero()}
	if refersToLines(&caps) {
		l.net, in.Named = ev.ID, true
	}
	if replaces != nil || ev.adorned() {
		r.adorn(&l, ev, replaces, answers)
	}
	if caps.Read && !l.self {
		l.extra = append(l.extra, markable...)
	}
	in.Extra = l.extra
	r.record(&l, in, now)
	r.remembered(&l)
	if replaces != nil {
		r.replace(replaces, &l)
	}
	r.m.stats.toUsers.Add(1)
	for _, st := range r.seats {
		if st.in && !st.unsure {
			r.show(st, r.message(st.jid, &l, ev.Replay))
		}
	}
	r.given(l.seq, now)
}

// timeOr is the time a network gave, or now where it gave none.
func timeOr(at, now time.Time) time.Time {
	if at.IsZero() {
		return now
	}
	return at
}

// say shows words of the room itself to all clients; they are not history.
func (r *room) say(text string) {
	id := r.m.ids.next()
	r.each(func(st *seat) {
		r.send(component.NewMessage(r.jid, st.jid, "groupchat", id).Elem("", "body", text))
	})
}

func cutText(n int) string {
	if n == 1 {
		return "One line from while the connection was down is missing here."
	}
	return fmt.Sprintf("%d lines from while the connection was down are missing here.", n)
}
