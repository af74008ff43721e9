package session

import (
	"transportd/component"
	"transportd/component/xep"
)

// bookmark is a change of the user's list of rooms, at the user's server (XEP-0402,
// XEP-0356): a room to be put into it, or one whose place another takes.
type bookmark struct {
	room     component.JID
	name     string
	autojoin bool
	from     component.JID // the room it was; zero: it is a new one
	// otherwise is called where the list is not changed: the server does not let the
	// gateway, or there was no bookmark to be moved.
	otherwise func()
}

// bookmarks are those that wait, one after the other.
type bookmarks struct {
	toMark  []*bookmark
	marking *bookmark // under way
	noMarks bool      // the server does not do what it said, over the present stream
	// markLater: the server may still say what it grants, and is waited for.
	markLater bool
}

// maxMarks bounds those that wait.
const maxMarks = 5000

// mark has a bookmark changed.
func (s *Session) mark(b *bookmark) {
	if len(s.toMark) >= maxMarks {
		b.otherwise()
		return
	}
	s.toMark = append(s.toMark, b)
	s.markNext()
}

// markNext goes on with the bookmark that has waited longest.
func (s *Session) markNext() {
	for s.marking == nil && len(s.toMark) > 0 {
		p, known := s.m.stream.Privileges(s.user.Domain)
		if !known {
			if !s.markLater {
				s.markLater = true
				s.after(verifyAgain, func() { s.markLater = false; s.markNext() })
			}
			return
		}
		b := s.toMark[0]
		s.toMark = s.toMark[1:]
		if !p.PubSubGet || !p.PubSubSet || s.noMarks {
			b.otherwise()
			continue
		}
		s.marking = b
		s.findMark(b)
	}
}

// findMark looks whether the user has the bookmark, which stays theirs then.
func (s *Session) findMark(b *bookmark) {
	s.askMark(b, "get", func(o *component.Out) { xep.AppendBookmarkGet(o, b.room) }, func(answer *component.Element) {
		switch {
		case xep.FindBookmark(answer, b.room) != nil:
			s.marked(b, true)
		case b.from.IsZero():
			s.setMark(b, xep.Bookmark{Name: b.name, AutoJoin: b.autojoin}.AppendTo)
		default:
			s.moveMark(b)
		}
	})
}

// moveMark gives a room the bookmark of another, with all that clients have put into it.
func (s *Session) moveMark(b *bookmark) {
	s.askMark(b, "get", func(o *component.Out) { xep.AppendBookmarkGet(o, b.from) }, func(answer *component.Element) {
		was := xep.FindBookmark(answer, b.from)
		if was == nil {
			s.marked(b, false)
			return
		}
		s.setMark(b, func(o *component.Out) { o.Copy(was) })
	})
}

func (s *Session) setMark(b *bookmark, write func(*component.Out)) {
	s.writeMark(b, false, write, func(answer *component.Element) {
		if answer != nil {
			s.unmark(b)
			return
		}
		// A list that is there may be set up in another way, which is the user's matter.
		s.askMark(b, "get", func(o *component.Out) { xep.AppendBookmarkGet(o, component.JID{}) }, func(answer *component.Element) {
			if !xep.HasBookmarks(answer) {
				s.notMarked(b)
				return
			}
			s.writeMark(b, true, write, func(answer *component.Element) {
				if answer == nil {
					s.notMarked(b)
					return
				}
				s.unmark(b)
			})
		})
	})
}

func (s *Session) writeMark(b *bookmark, as bool, write func(*component.Out), then func(*component.Element)) {
	s.askMark(b, "set", func(o *component.Out) { xep.AppendBookmarkSet(o, b.room, as, write) }, then)
}

// notMarked gives the list up for the present stream.
func (s *Session) notMarked(b *bookmark) {
	s.noMarks = true
	s.log.Warn("the user's list of rooms cannot be changed; rooms are told of by invitations")
	s.marked(b, false)
}

// unmark takes out the bookmark in whose place another has come.
func (s *Session) unmark(b *bookmark) {
	if b.from.IsZero() {
		s.marked(b, true)
		return
	}
	s.askMark(b, "set", func(o *component.Out) { xep.AppendBookmarkRemove(o, b.from) }, func(*component.Element) { s.marked(b, true) })
}

// marked goes on with the next.
func (s *Session) marked(b *bookmark, done bool) {
	s.marking = nil
	if !done {
		b.otherwise()
	}
	s.markNext()
}

// askMark makes a request in the user's name; then gets the answer to it, nil where it
// was refused. What the stream was lost over is done once more.
func (s *Session) askMark(b *bookmark, typ string, fill func(*component.Out), then func(*component.Element)) {
	p, _ := s.m.stream.Privileges(s.user.Domain)
	o := component.NewIQ(s.m.domain, s.user, typ, s.m.stream.NewID())
	p.AppendPrivilegedIQ(o, s.user, typ, s.m.ids.next(), fill)
	s.m.stream.Request(o, rosterTime, func(st *component.Stanza, err error) {
		s.post(func() {
			switch {
			case s.marking != b: // the session has begun anew
			case err == nil:
				then(component.PrivilegedAnswer(st))
			case isDown(err):
				s.marking = nil
				s.toMark = append([]*bookmark{b}, s.toMark...)
			default:
				then(nil)
			}
		})
	})
}
