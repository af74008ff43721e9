package ircconn

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Lines that a server has left lying in its TLS layer are helped along by what
// comes after them.
func TestNudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		tls    *TLSInfo
		answer bool
		want   []string
	}{
		{"a server that answers", new(TLSInfo), true, []string{"PRIVMSG #r 0", "PING :f1"}},
		{"without TLS", nil, false, []string{"PRIVMSG #r 0", "PING :f1"}},
		{"a silent one", new(TLSInfo), false, []string{"PRIVMSG #r 0", "PING :f1", "PING :n", "PING :n", "PING :n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, Options{}, func(t *testing.T, conn *Conn, s *pipeServer, msgs chan *Message) {
				conn.info.TLS = c.tls
				l := say(0)
				l.Fence = true
				conn.Write(l)
				synctest.Wait()
				if c.answer {
					s.say(":srv PONG srv :f1")
				}
				time.Sleep(25 * time.Second) // nudges after 3, 9 and 21 seconds
				synctest.Wait()
				if got := s.got(); !slices.Equal(got, c.want) {
					t.Errorf("server got %q, want %q", got, c.want)
				}
				s.say(":srv PONG srv :n")
				s.say(":srv NOTICE alice :end")
				for m := range msgs {
					if m.Command == "NOTICE" {
						break
					}
					if m.Confirmed == 0 {
						t.Errorf("the answer to a nudge is read: %+v", m)
					}
				}
			})
		})
	}
}
