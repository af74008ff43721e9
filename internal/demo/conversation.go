package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"transportd/internal/testenv"
)

// way is from which side to which something goes.
type way int

const (
	toNetwork way = iota
	toXMPP
	onXMPP    // and back
	onNetwork // likewise
)

// A step is something one side does and the other side gets to see.
type step struct {
	way  way
	who  string
	does string
	sees string // what arrives on the other side
	do   func(ctx context.Context) error
	see  func(ctx context.Context) (time.Time, error) // when it arrived
}

// hears waits for a stanza to alice.
func (s *stage) hears(ms ...testenv.Match) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		got, err := s.alice.Expect(ctx, ms...)
		return got.At, err
	}
}

// sends has alice send a stanza.
func (s *stage) sends(xml string) func(context.Context) error {
	return func(context.Context) error { return s.alice.Send("%s", testenv.Raw(xml)) }
}

// joins is the presence with which alice enters a room.
func (s *stage) joins(room, nick string) func(context.Context) error {
	return s.sends(`<presence to='` + testenv.Escape(room+"/"+nick) + `'><x xmlns='http://jabber.org/protocol/muc'/></presence>`)
}

// says has alice say a line in a room, with an id that its reflection must carry, and
// with what else belongs into the stanza.
func (s *stage) says(room, id, text, more string) func(context.Context) error {
	return s.sends(fmt.Sprintf(`<message to='%s' type='groupchat' id='%s'><body>%s</body>%s</message>`,
		testenv.Escape(room), id, testenv.Escape(text), more))
}

// converse plays the network's script. What does not arrive is shown, and is the error
// at the end.
func (s *stage) converse(ctx context.Context, patience time.Duration) error {
	var err error
	if s.alice, err = s.clients.Connect(ctx, s.xmpp, "alice", "demo"); err == nil {
		err = s.alice.Send("<presence/>")
	}
	if err = errors.Join(err, s.network.enter(ctx, s)); err != nil {
		return err
	}
	defer s.network.leave()
	s.out.title(s.network.title())
	missing, script := 0, s.network.script()
	var begun time.Time
	for _, st := range script {
		wait, cancel := context.WithTimeout(ctx, patience)
		if st.do != nil {
			begun = time.Now()
			if err := st.do(wait); err != nil {
				cancel()
				return err
			}
		}
		arrived, err := st.see(wait)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			missing++
		}
		s.out.step(s.network.name(), st, arrived.Sub(begun), err)
	}
	_ = s.alice.Disconnect()
	if missing > 0 {
		return fmt.Errorf("%d of %d things did not arrive; the end of transportd's log:\n%s",
			missing, len(script), testenv.Tail(s.gateway.Log(), 30))
	}
	s.out.line(fmt.Sprintf("\nAll %d arrived.", len(script)))
	return nil
}
