package session

import (
	"bytes"
	"cmp"
	"context"
	"strings"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// lineIDs are the message id and the stanza-id of a line.
type lineIDs struct{ id, sid string }

// setSubject asks the network for another subject (XEP-0045 section 8.1).
func (r *room) setSubject(st *component.Stanza, text string) {
	setter, ok := r.l.net.(bridges.SubjectSetter)
	if !ok || r.state != roomIn {
		r.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "")))
		return
	}
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", " ")), " ")
	r.act(r.l, outcomeFunc(func(ev bridges.Event) {
		switch ev := ev.(type) {
		case *bridges.SubjectChanged:
			r.onSubject(ev, st.ID)
		case *bridges.Failed:
			r.refuse(st, StanzaError(ev.Err))
		}
	}), func(ref bridges.Ref) error { return setter.SetSubject(ref, r.id, text) })
}

// onSubject shows and records another subject, in its turn among the lines. id is that
// of the user's message that has set it, empty where there is none.
func (r *room) onSubject(ev *bridges.SubjectChanged, id string) {
	if !r.hearing.busy || r.hearing.full() {
		r.changeSubject(ev, id)
		return
	}
	r.hearing.do(func(done func()) {
		if r.rooms[r.jid.Local] == r {
			r.changeSubject(ev, id)
		}
		done()
	})
}

func (r *room) changeSubject(ev *bridges.SubjectChanged, id string) {
	s := &ev.Subject
	r.subject, r.told = s, lineIDs{}
	if ev.Replay && r.rec != nil && s.ID != "" && !s.At.IsZero() {
		r.onPlayback(r.oldSubject(s)) // which records it if that was not done
	} else {
		now := time.Now()
		l := line{id: cmp.Or(id, fitID(string(s.ID))), from: s.By, at: timeOr(s.At, now), self: r.isOwn(s), occ: s.Identity}
		r.recordSubject(&l, s, archive.Heard{}, now)
		r.told = lineIDs{l.id, l.sid}
	}
	r.showSubject(ev.Replay)
}

// isOwn tells whether the user has set a subject.
func (r *room) isOwn(s *bridges.Subject) bool { return s.By != "" && s.By == r.nick }

// recordSubject stores a change of the subject (XEP-0313: it is a message of the room
// as any other).
func (r *room) recordSubject(l *line, s *bridges.Subject, in archive.Heard, now time.Time) {
	caps := r.l.net.Capabilities(bridges.Place{Room: r.id})
	in.NetID, in.Named, in.Extra = string(s.ID), s.ID != "" && refersToLines(&caps), subjectXML(s.Text)
	l.extra = in.Extra
	r.record(l, in, now)
}

// oldSubject is a change of the subject as networks play it back.
func (r *room) oldSubject(s *bridges.Subject) *bridges.Message {
	return &bridges.Message{
		Place: bridges.Place{Room: r.id}, From: bridges.Member{Nick: s.By, Identity: s.Identity}, Self: r.isOwn(s),
		Kind: bridges.NewSubject, Body: s.Text, ID: s.ID, At: s.At, Replay: true,
	}
}

// recordOldSubject stores a change of the subject where its time says. It is not shown:
// the subject is another one by now.
func (r *room) recordOldSubject(ev *bridges.Message) {
	if r.rec == nil || ev.At.IsZero() {
		return
	}
	s := &bridges.Subject{Text: ev.Body, By: ev.From.Nick, At: ev.At, Identity: ev.From.Identity, ID: ev.ID}
	l := line{id: fitID(string(ev.ID)), from: s.By, at: ev.At, self: ev.Self, occ: s.Identity}
	r.recordSubject(&l, s, archive.Heard{InPlace: true}, time.Now())
}

// recordMissedSubject stores the subject that a room is entered with, if it was set
// while the user was away: networks that play old lines back without the changes of the
// subject still say by whom and when the present one was set.
func (r *room) recordMissedSubject(s *bridges.Subject) {
	if r.rec == nil || s == nil || s.ID != "" || s.At.IsZero() {
		return
	}
	q := r.question()
	ok := r.work(func() func() {
		ctx, cancel := r.m.queryContext()
		defer cancel()
		missed, err := r.m.missedSubject(ctx, q, s)
		return func() {
			if err != nil {
				r.log.Warn("the subject could not be compared with the archive", "error", err)
			}
			if missed && r.rooms[r.jid.Local] == r {
				r.recordOldSubject(r.oldSubject(s))
			}
		}
	})
	if !ok {
		r.after(playbackAgain, func() {
			if r.rooms[r.jid.Local] == r && r.state == roomIn && r.subject == s {
				r.recordMissedSubject(s)
			}
		})
	}
}

// Where a subject is looked for that may have been heard when it was set: so far clocks
// may differ, and so many changes of the subject and reactions are looked at.
const (
	subjectSpan  = 5 * time.Minute
	subjectLines = 2000
)

// missedSubject tells whether a subject was set behind the first line that the user
// has of a room, and is not among the lines since.
func (m *Manager) missedSubject(ctx context.Context, room *archive.Query, s *bridges.Subject) (bool, error) {
	q := *room
	q.To, q.Last, q.Limit = s.At.UnixMicro(), true, 1
	before, _, err := m.archive.Lines(ctx, &q)
	if err != nil || len(before) == 0 {
		return false, err
	}
	q = *room
	q.From, q.To, q.NoBody, q.Limit = s.At.Add(-subjectSpan).UnixMicro(), s.At.Add(subjectSpan).UnixMicro(), true, subjectLines
	lines, _, err := m.archive.Lines(ctx, &q)
	if err != nil {
		return false, err
	}
	told := subjectXML(s.Text)
	for i := range lines {
		if lines[i].Body == "" && bytes.Equal(lines[i].Extra, told) {
			return false, nil
		}
	}
	return true, nil
}

// subjectXML is a subject as the archive has it.
func subjectXML(text string) []byte {
	return component.Fragment(func(o *component.Out) { o.Elem("", "subject", text) })
}

// isSubject tells whether a line of the archive is a change of the subject: it has that
// and nothing else.
func isSubject(l *archive.Line) bool {
	if l.Body != "" {
		return false
	}
	rest, ok := bytes.CutPrefix(l.Extra, []byte("<subject"))
	if !ok {
		return false
	}
	if string(rest) == "/>" || string(rest) == "></subject>" {
		return true
	}
	rest, ok = bytes.CutPrefix(rest, []byte(">"))
	text, all := bytes.CutSuffix(rest, []byte("</subject>"))
	return ok && all && bytes.IndexByte(text, '<') < 0
}

// subjectIs takes over the subject a room is entered with, and tells whether it is the
// same as before.
func (r *room) subjectIs(s *bridges.Subject) bool {
	same := textOf(r.subject) == textOf(s)
	if r.subject = s; !same {
		r.told = lineIDs{}
	}
	return same
}

func textOf(s *bridges.Subject) string {
	if s == nil {
		return ""
	}
	return s.Text
}

// showSubject shows a new subject to everybody; delayed: it is so for a while.
func (r *room) showSubject(delayed bool) {
	for _, st := range r.seats {
		switch {
		case st.unsure:
			st.stale = true
		case st.in:
			r.sendSubject(st, delayed)
		}
	}
}

// sendSubject sends the subject, empty where there is none: it ends the join
// (XEP-0045 section 7.2.15). Where it changed while the room was recorded it has the
// ids that the archive knows it by.
func (r *room) sendSubject(st *seat, delayed bool) {
	from, text, at := r.jid, "", time.Time{}
	if r.subject != nil {
		text, at = r.subject.Text, r.subject.At
		if r.subject.By != "" {
			from = r.occupant(r.subject.By)
		}
	}
	id := r.told.id
	if id == "" {
		id = r.m.ids.next()
	}
	o := component.NewMessage(from, st.jid, "groupchat", id)
	o.Elem("", "subject", text)
	if r.told.sid != "" {
		xep.AppendStanzaID(o, r.told.sid, r.jid)
	}
	if delayed && !at.IsZero() {
		xep.AppendDelay(o, r.jid, at)
	}
	st.stale = !r.send(o)
}
