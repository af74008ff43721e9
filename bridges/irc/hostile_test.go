package irc

import (
	"context"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
	"transportd/internal/irctest"
)

// FuzzHostileServer feeds a live link whatever lines a server could send. The
// link must not panic, and its state must stay in order.
func FuzzHostileServer(f *testing.F) {
	for _, seed := range []string{
		":alice!a@h JOIN #room\n:irc 353 alice = #room :@alice +bob ~&@%+x!y@z\n:irc 366 alice #room :e",
		":bob!b@h JOIN #room\n:bob KICK #room alice\n:alice JOIN #room\n:x MODE #room +vvvo-b bob alice\n:bob NICK alice",
		":irc 005 alice PREFIX=(Yqaohv)!~&@%+ CHANMODES=,,, CASEMAPPING=ascii :are\n:bob NICK BOB\n:BOB QUIT",
		"BATCH +a labeled-response\n@batch=a :irc 404 alice #room :no\nBATCH -a\n@label=1 ACK",
		":irc 470 alice #room #other :f\n:irc 354 alice 152 #room u h bob G 0\n:irc 315 alice #room :e",
		"RENAME #room #ROOM :x\n:alice NICK :\n:alice PART\nFAIL * X\n:irc 324 alice #room +mk x\n:irc 433 * alice :used",
		":bob!b@h PRIVMSG alice :\x01PING\x01\n:bob!b@h PRIVMSG @#room :\x01ACTION\n:b NOTICE alice :\x01VERSION x\x01",
		":irc 322 alice #a x :\n:irc 323\n:irc 333 alice #room x y\n:irc 731 alice :alice\n:irc 900 alice x y z",
	} {
		f.Add(seed)
	}
	w := open(f, setup{server: irctest.Config{NoRecord: true}})
	w.srv.Puppet("bob").Do("JOIN #room")
	w.join("#room")
	f.Fuzz(func(t *testing.T, lines string) {
		if len(lines) > 4096 {
			return
		}
		for raw := range strings.SplitSeq(lines, "\n") {
			m, err := ircconn.ParseMessage(strings.ToValidUTF8(raw, "\uFFFD"))
			if err != nil {
				continue
			}
			w.net.mu.Lock()
			w.net.handle(m)
			w.net.wakes = nil
			orderly(t, w.net)
			events := w.net.out
			w.net.out = nil
			w.net.mu.Unlock()
			for _, ev := range events {
				if m, ok := ev.(*bridges.Message); ok && (!utf8.ValidString(m.Body) || strings.ContainsAny(m.Body, "\x00\r\n")) {
					t.Fatalf("%q makes %s", raw, describe(ev))
				}
			}
		}
	})
}

// orderly checks what always holds of the state. mu is held.
func orderly(t *testing.T, n *network) {
	t.Helper()
	for id, r := range n.rooms {
		if id != r.id || string(id) != n.fold(r.name) {
			t.Fatalf("room %q is kept as %q", r.name, id)
		}
		sorted := r.roster.list[:r.roster.sorted]
		if !slices.IsSortedFunc(sorted, func(a, b member) int { return strings.Compare(a.folded(), b.folded()) }) {
			t.Fatalf("the members of %q are out of order", r.name)
		}
		for i := 1; i < len(sorted); i++ {
			if sorted[i].folded() == sorted[i-1].folded() {
				t.Fatalf("%q is in %q twice", sorted[i].folded(), r.name)
			}
		}
	}
	if len(n.pending) > maxPending || len(n.batches) > maxBatches || len(n.queries) > maxQueries {
		t.Fatal("a bound is exceeded")
	}
}

// The end of the link ends what a hostile server was asked.
func TestQuestionsEndWithTheContext(t *testing.T) {
	w := open(t, setup{hooks: func(s *irctest.Server) {
		for _, c := range []string{"WHOIS", "LIST", "MODE"} {
			s.Hook(c, func(*irctest.Client, irctest.Msg) bool { return true })
		}
	}})
	w.srv.Puppet("bob").Do("JOIN #room")
	w.join("#room")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, err := range map[string]error{
		"whois": second(w.net.Profile(ctx, "bob")),
		"list":  second(w.net.Rooms(ctx)),
		"bans":  second(w.net.List(ctx, "#room", bridges.AffiliationOutcast)),
	} {
		if e := bridges.AsError(err); e == nil || e.Kind != bridges.Timeout {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
