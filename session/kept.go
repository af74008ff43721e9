package session

import (
	"fmt"
	"slices"

	"transportd/component"
)

// keep holds a private line until the stream is back. Where there are too many, those
// that are in the archive are left there; others are cut, the oldest first.
func (s *Session) keep(k keptMessage) {
	if len(s.kept) >= maxKept {
		if !k.key.IsZero() {
			s.leave()
			return
		}
		i := slices.IndexFunc(s.kept, func(k keptMessage) bool { return k.key.IsZero() })
		if i >= 0 {
			s.keptCut++
			s.m.stats.cut.Add(1)
		} else {
			i = len(s.kept) - 1
			s.leave()
		}
		s.kept = slices.Delete(s.kept, i, i+1)
	}
	s.kept = append(s.kept, k)
}

// deliverKept sends what came while there was no stream, with its true time.
func (s *Session) deliverKept() {
	if !s.up {
		return
	}
	kept, cut := s.kept, s.keptCut
	s.kept, s.keptCut = nil, 0
	if cut > 0 {
		s.send(component.NewMessage(s.m.domain, s.user, "chat", s.m.ids.next()).
			Elem("", "body", fmt.Sprintf("%d private messages that came while the connection was down could not be kept.", cut)))
	}
	for i, k := range kept {
		s.showPrivate(k, true)
		if !s.up {
			for _, k := range kept[i+1:] {
				s.keep(k)
			}
			return
		}
	}
	s.readOn()
}
