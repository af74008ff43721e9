package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"transportd/internal/testenv"
)

const realDomain = "irc.localhost"

// realServers starts each server for a test of its own.
func realServers(t *testing.T, test func(*testing.T, context.Context, *testenv.XMPPServer)) {
	for name, start := range map[string]func(*testenv.Env, context.Context, testenv.XMPPOptions) (*testenv.XMPPServer, error){
		"prosody": (*testenv.Env).StartProsody, "ejabberd": (*testenv.Env).StartEjabberd,
	} {
		t.Run(name, func(t *testing.T) {
			e, err := testenv.New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			t.Cleanup(cancel)
			srv, err := start(e, ctx, testenv.XMPPOptions{Components: []string{realDomain}})
			if err != nil {
				t.Fatal(err)
			}
			test(t, ctx, srv)
		})
	}
}

// realRig is a stream to a real server.
type realRig struct {
	*Stream
	states chan StreamState
	got    chan *Stanza // those with an id
}

func startReal(t *testing.T, srv *testenv.XMPPServer, domain, secret string) *realRig {
	r := &realRig{states: make(chan StreamState, 100), got: make(chan *Stanza, 1000)}
	r.Stream = NewStream(StreamConfig{
		Domain: domain, Address: net.JoinHostPort(testenv.Host, strconv.Itoa(srv.Component)),
		Secret: func() (string, error) { return secret, nil },
		Handler: func(s *Stanza) {
			if s.ID != "" {
				r.got <- s
			}
		},
		OnState:     func(s StreamState) { r.states <- s },
		IdleTimeout: 500 * time.Millisecond, BackoffMin: 10 * time.Millisecond,
		Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx) // returns nil only
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

// state waits for the next state.
func (r *realRig) state(t *testing.T, ctx context.Context) StreamState {
	t.Helper()
	select {
	case st := <-r.states:
		return st
	case <-ctx.Done():
		t.Fatal("the stream's state did not change")
		return StreamState{}
	}
}

// hostileNames and hostileTexts are what a network may come up with.
var (
	hostileNames = []string{
		"nick", "#chan%irc.example.net", "#канал%irc.example.net", "É", "☃", " lead", "a\x02b", "\u05d0", "\u05d0b", "e\u0301", "ß", "ſ",
		"\u212a", "ﬁ", "a\xffb", `c:\net`, `\5c20`, "日本", "кот", "🐱", "İ", "ı", "Σς", "\u200d", "\ufdfa", "a\u00adb", strings.Repeat("x", 1000),
		"\U000e0001", "½", "l·l", "\u0378", "ＡＢＣ", "ẞ", "𝐀", "\ufffd", "ŉ", "\u0345", "ᾳ", "[a]{b}^c|d`e", "a\r\nb", "&<>'\"",
	}
	hostileTexts = []string{
		"plain", "\x00\x01\x1f\x7f\u0080\u0085", "]]><&>\"'", "\ufffe\uffff\U0001fffe", "\xff\xed\xa0\x80", "\n\t", "a\r\nb",
		strings.Repeat("&", 1000), "<![CDATA[x]]>", "<!-- -->", "<?x?>", "</stream:stream>", "&nbsp;",
	}
)

// Whatever the network says, a real server takes it, leaves it as it is, and
// keeps the component.
func TestRealServersTakeWhatWeSend(t *testing.T) {
	realServers(t, func(t *testing.T, ctx context.Context, srv *testenv.XMPPServer) {
		r := startReal(t, srv, realDomain, testenv.Secret)
		if st := r.state(t, ctx); !st.Up {
			t.Fatalf("got %+v", st)
		}
		for i, name := range hostileNames {
			resource, _ := SafeResource(name)
			j := JID{EscapeLocal(name), realDomain, resource}
			for k, text := range hostileTexts {
				id := fmt.Sprintf("%d-%d", i, k)
				o := NewMessage(j, j, "chat", id).Elem("", "body", text).Start("urn:x", "x").Attr("a", text).End()
				if err := r.Send(ctx, o); err != nil {
					t.Fatal(err)
				}
				select {
				case s := <-r.got:
					// A server may pass a carriage return on as it is, and then it reads
					// as a line feed.
					body, _ := s.Body()
					value := s.Child("urn:x", "x").Attr("a")
					if want := foldReturns(legal(text)); s.ID != id || s.From != j || s.To != j || foldReturns(body) != want || foldReturns(value) != want {
						t.Errorf("%.40q, %.40q came back as %.400s", name, text, s.Element)
					}
				case st := <-r.states:
					t.Fatalf("%.40q, %.40q ended the stream: %+v", name, text, st)
				case <-ctx.Done():
					t.Fatalf("%.40q, %.40q did not come back", name, text)
				}
			}
		}
		big := NewMessage(r.Domain(), r.Domain(), "chat", "big").Elem("", "body", strings.Repeat("x", MaxOut-300))
		if err := r.Send(ctx, big); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-r.got:
			if s.ID != "big" || s.IsError() {
				t.Errorf("got %.400s", s.Element)
			}
		case st := <-r.states:
			t.Fatalf("a stanza of the largest size ended the stream: %+v", st)
		case <-ctx.Done():
			t.Fatal("a stanza of the largest size did not come back")
		}
	})
}

// The keepalive of a silent stream is answered, and a killed server is found out
// and found again.
func TestRealServersLife(t *testing.T) {
	realServers(t, func(t *testing.T, ctx context.Context, srv *testenv.XMPPServer) {
		r := startReal(t, srv, realDomain, testenv.Secret)
		for range 2 {
			if st := r.state(t, ctx); !st.Up {
				t.Fatalf("got %+v", st)
			}
			for seen := r.Stats().StanzasIn; r.Stats().StanzasIn < seen+3; {
				select {
				case st := <-r.states:
					t.Fatalf("an idle stream ended: %+v", st)
				case s := <-r.got:
					t.Fatalf("a ping of our own reached the handler: %v", s.Element)
				case <-ctx.Done():
					t.Fatal("the keepalive is not answered")
				case <-time.After(10 * time.Millisecond):
				}
			}
			srv.Kill9()
			if st := r.state(t, ctx); st.Up {
				t.Fatalf("got %+v", st)
			}
			if err := srv.Start(ctx); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRealServersRefuse(t *testing.T) {
	realServers(t, func(t *testing.T, ctx context.Context, srv *testenv.XMPPServer) {
		for _, c := range []struct{ domain, secret string }{{realDomain, "wrong"}, {"unknown.localhost", testenv.Secret}} {
			r := startReal(t, srv, c.domain, c.secret)
			var se *StreamError
			if st := r.state(t, ctx); !errors.As(st.Err, &se) || hopeless[se.Condition] == "" {
				t.Errorf("%s with %q: got %+v", c.domain, c.secret, st)
			}
		}
	})
}
