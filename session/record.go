package session

import (
	"context"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// archived names the archive of the room: shared by all who hear the same there,
// else the user's own.
func (r *room) archived() archive.Room {
	a := archive.Room{Gateway: r.m.domain.Domain, Network: string(r.l.id), Room: string(r.id)}
	if !r.l.net.Capabilities(bridges.Place{Room: r.id}).Shared {
		a.Owner = r.user.String()
	}
	return a
}

// startRecording has the lines of a room the user is in recorded, where the user
// wants that.
func (r *room) startRecording() {
	if r.m.archive == nil || r.rec != nil || !r.wantsRecord() {
		return
	}
	r.rec = r.m.archive.Enter(r.archived(), r.user.String(), r.jid.String(), r.nick)
}

// stopRecording ends that: the user is out, or does not want it any more.
func (r *room) stopRecording() {
	if r.rec != nil {
		r.rec.Leave()
		r.rec = nil
	}
}

// record stores a line, before anybody is shown it, and gives it its stanza-id and
// its time. A line that cannot be stored is shown all the same, under another id.
func (r *room) record(l *line, in archive.Heard, now time.Time) {
	if r.rec != nil {
		in.Nick, in.Body, in.Occupant, in.At, in.Came, in.Self = l.from, l.body, l.occ, l.at, now, l.self
		in.ID = l.id
		if key, ok := r.rec.Record(&in); ok {
			l.key, l.sid, l.at = key, key.String(), key.Time()
			r.tellRecorded(true)
		} else {
			r.m.stats.unrecorded.Add(1)
			r.tellRecorded(false)
		}
	}
	if l.sid == "" {
		l.sid = l.id
	}
	if l.sid == "" {
		l.sid = r.m.ids.at(now)
	}
	if l.id == "" {
		l.id = l.sid
	}
}

// tellRecorded tells the user when the archive begins to lose lines, and when that
// is over.
func (r *room) tellRecorded(ok bool) {
	if ok != r.unrecorded {
		return
	}
	if r.unrecorded = !ok; ok {
		r.say("What is said here is recorded again.")
		return
	}
	r.log.Error("lines are not recorded: the archive has no room for them")
	r.say("The gateway has trouble with its database: what is said here from now on is not recorded.")
}

// unstored are children of a user's own line that its archived form goes without:
// they are made anew, or mean something at the moment only.
func unstored(c *component.Element) bool {
	switch c.Space {
	case xep.NSStanzaID:
		return c.Name == "stanza-id"
	case xep.NSOccupantID, xep.NSDelay, xep.NSChatStates, xep.NSReceipts, xep.NSMUCUser:
		return true
	}
	return c.Space == component.NSComponent && c.Name == "body"
}

// recordOwn stores what the user said, as the client wrote it, and what it changes
// of earlier lines.
func (r *room) recordOwn(l *line, st *component.Stanza, now time.Time, old bool) {
	if r.rec == nil {
		r.record(l, archive.Heard{}, now)
		return
	}
	r.record(l, archive.Heard{NetID: string(l.net), Named: l.net != "", InPlace: old, Extra: component.MarshalChildren(st.Element, func(c *component.Element) bool { return !unstored(c) })}, now)
	if id := xep.ParseRetract(st.Element); id != "" {
		tombstone := component.Fragment(func(o *component.Out) { xep.AppendRetracted(o, l.id, now) })
		r.changeOwn(id, func(key archive.Key) { r.rec.Retract(key, tombstone, now) })
		return
	}
	if id := xep.ParseReplace(st.Element); id != "" && l.body != "" {
		body, key := l.body, l.key
		r.changeOwn(id, func(old archive.Key) {
			if old != key {
				r.rec.Amend(old, body, nil, time.Now())
			}
		})
	}
}

// changeOwn finds one of the user's own lines by its id and calls f with its key,
// while the room is recorded.
func (r *room) changeOwn(id string, f func(archive.Key)) {
	if l := r.find(id); l != nil {
		if l.self && !l.key.IsZero() {
			f(l.key)
		}
		return
	}
	user, jid := r.user.String(), r.jid.String()
	ok := r.work(func() func() {
		ctx, cancel := r.m.queryContext()
		defer cancel()
		old, ok, err := r.m.archive.Recent(ctx, r.m.domain.Domain, user, jid, id)
		if key, is := archive.ParseKey(id); !ok && is && err == nil {
			lines, e := r.m.archive.ByKey(ctx, r.m.domain.Domain, user, jid, []archive.Key{key})
			if err = e; len(lines) == 1 && lines[0].Self {
				old, ok = lines[0], true
			}
		}
		return func() {
			if err != nil {
				r.log.Warn("an earlier line could not be changed in the archive", "error", err)
			}
			if ok && r.rec != nil && !isSubject(&old) {
				f(old.Key)
			}
		}
	})
	if !ok {
		r.after(changeAgain, func() {
			if r.rooms[r.jid.Local] == r && r.rec != nil {
				r.changeOwn(id, f)
			}
		})
	}
}

// changeAgain is until an earlier line is looked for that found no free worker.
const changeAgain = time.Second

// playback is lines that the network plays back, waiting to be compared with
// what the archive has.
type playback struct {
	waiting []played
	busy    bool
	taken   map[archive.Key]bool // found to be among those played back
}

// played is a line that is played back.
type played struct {
	*bridges.Message
	own *component.Stanza // the user's, which has not been shown to be taken; else nil
}

// maxPlayback bounds the lines that wait to be compared; beyond it they are shown
// without.
const maxPlayback = 2000

// onPlayback takes an old line from the network: the user has it already, or it
// is put where it belongs and shown.
func (r *room) onPlayback(ev *bridges.Message) { r.playBack(played{Message: ev}) }

func (r *room) playBack(ev played) {
	p := r.played
	if p == nil {
		p = &playback{taken: map[archive.Key]bool{}}
		r.played = p
	}
	if len(p.waiting) >= maxPlayback {
		r.playedOut(ev)
		return
	}
	p.waiting = append(p.waiting, ev)
	if !p.busy {
		r.comparePlayback()
	}
}

// comparePlayback asks the archive about the lines that wait.
func (r *room) comparePlayback() {
	p, l := r.played, r.l
	batch := p.waiting
	p.waiting, p.busy = nil, true
	l.comparing++
	user, jid := r.user.String(), r.jid.String()
	heard := make([]archive.Heard, len(batch))
	for i, ev := range batch {
		heard[i] = archive.Heard{Nick: ev.From.Nick, Body: bodyOf(ev.Message), NetID: string(ev.ID), At: ev.At}
		if ev.Kind == bridges.NewSubject {
			heard[i].Body, heard[i].Extra = "", subjectXML(ev.Body)
		}
	}
	ok := r.work(func() func() {
		ctx, cancel := r.m.queryContext()
		defer cancel()
		known := make([]bool, len(batch))
		var err error
		for i := range heard {
			if own := batch[i].own; own != nil {
				known[i], err = r.m.showed(ctx, user, jid, own, heard[i].NetID)
			} else {
				known[i], err = r.m.archive.Has(ctx, r.m.domain.Domain, user, jid, &heard[i], p.taken)
			}
			if err != nil {
				break
			}
		}
		return func() {
			if err != nil {
				r.log.Warn("lines played back could not be compared with the archive", "error", err)
			}
			r.playedBack(batch, known)
			l.compared()
		}
	})
	if !ok {
		r.after(playbackAgain, func() {
			if r.played == p {
				p.waiting = append(batch, p.waiting...)
				r.comparePlayback()
			}
			l.compared()
		})
	}
}

// playbackAgain is until lines are compared that found no free worker.
const playbackAgain = time.Second

// playedBack shows those lines of a batch that the user did not have.
func (r *room) playedBack(batch []played, known []bool) {
	p := r.played
	if r.rooms[r.jid.Local] != r || p == nil {
		return
	}
	for i, ev := range batch {
		if !known[i] {
			r.playedOut(ev)
		}
	}
	p.busy = false
	if len(p.waiting) > 0 {
		r.comparePlayback()
		return
	}
	r.caughtUp()
	// A playback comes in one go; the next one is compared afresh.
	r.after(playbackAgain*10, func() {
		if r.played == p && !p.busy && len(p.waiting) == 0 {
			r.played = nil
		}
	})
}

// playedOut shows a line of a playback.
func (r *room) playedOut(ev played) {
	if ev.own != nil {
		r.reflect(ev.own, ev.ID, ev.At, true)
		return
	}
	r.heard(ev.Message)
}

// showed tells whether a line of the user's is in the archive: by what the network calls
// it or, where it does not, by the id the client gave it.
func (m *Manager) showed(ctx context.Context, user, jid string, own *component.Stanza, netID string) (bool, error) {
	if netID != "" {
		lines, err := m.archive.ByNetID(ctx, m.domain.Domain, user, jid, []string{netID})
		return len(lines) > 0, err
	}
	_, known, err := m.archive.Recent(ctx, m.domain.Domain, user, jid, own.ID)
	return known && own.ID != "", err
}

// caughtUp is called when what the network had kept for the room is in the archive:
// now the clients that wait are shown the room with it.
func (r *room) caughtUp() {
	if r.catchingUp {
		r.catchingUp = false
		if r.state == roomIn {
			r.admitAll()
		}
	}
}

// bodyOf is a message's text as users see it.
func bodyOf(ev *bridges.Message) string {
	body := ev.Body
	if ev.Location != nil {
		body = located(body, ev.Location)
	}
	if ev.Kind == bridges.Emote {
		body = "/me " + body
	}
	if ev.To != "" {
		body = "[" + ev.To + "] " + body
	}
	return body
}

// stored is a line of the archive as the room shows lines.
func stored(a *archive.Line) line {
	l := line{key: a.Key, id: a.ID, net: bridges.MessageID(a.NetID), sid: a.Key.String(), from: a.Nick, body: a.Body, at: a.Time(), occ: a.Occupant, self: a.Self,
		extra: a.Extra, retracted: a.Retracted}
	if l.id == "" {
		l.id = l.sid
	}
	return l
}
