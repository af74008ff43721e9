package component

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"gosrc.io/xmpp"
	"gosrc.io/xmpp/stanza"
)

// What a gateway meets all day: 526, 473 and 218 bytes.
var benchStanzas = []struct{ name, xml string }{
	{"message", `<message from='juliet@capulet.example/balcony-7f3a91' to='#verona%irc.example.net@irc.example.org' type='groupchat' id='b1e7c6a2-4f0d-4d1e-9d2f-6c1b2a3d4e5f' xml:lang='en'><body>Good pilgrim, you do wrong your hand too much, which mannerly devotion shows in this; for saints have hands that pilgrims&apos; hands do touch</body><active xmlns='http://jabber.org/protocol/chatstates'/><origin-id xmlns='urn:xmpp:sid:0' id='b1e7c6a2-4f0d-4d1e-9d2f-6c1b2a3d4e5f'/><request xmlns='urn:xmpp:receipts'/></message>`},
	{"presence", `<presence from='juliet@capulet.example/balcony-7f3a91' to='#verona%irc.example.net@irc.example.org/Juliet' id='p-4f0d-4d1e'><show>away</show><status>gone to see the friar, back before the lark</status><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='20'/></x><idle xmlns='urn:xmpp:idle:1' since='2026-01-01T00:00:00Z'/></presence>`},
	{"iq", `<iq from='juliet@capulet.example/balcony-7f3a91' to='#verona%irc.example.net@irc.example.org' type='get' id='disco-b1e7c6a2-4f0d-4d1e'><query xmlns='http://jabber.org/protocol/disco#info' node='urn:x:y'/></iq>`},
}

const benchHeader = `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'>`

// repeat is a stream of one stanza without an end.
type repeat struct {
	head, body string
	at         int
}

func (r *repeat) Read(b []byte) (int, error) {
	if r.head != "" {
		n := copy(b, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	n := 0
	for n < len(b) {
		k := copy(b[n:], r.body[r.at:])
		n += k
		r.at = (r.at + k) % len(r.body)
	}
	return n, nil
}

func BenchmarkDecode(b *testing.B) {
	for _, s := range benchStanzas {
		b.Run(s.name+"/ours", func(b *testing.B) {
			f := newFramer(&repeat{head: benchHeader, body: s.xml}, Limits{})
			fr, err := f.read()
			if err != nil {
				b.Fatal(err)
			}
			p, _, err := readHeader(fr)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(s.xml)))
			b.ReportAllocs()
			for b.Loop() {
				fr, err := f.read()
				if err != nil {
					b.Fatal(err)
				}
				s, perr := p.parse(fr.data, fr.nodes, fr.attrs)
				if perr != nil {
					b.Fatal(perr)
				}
				if err := s.read(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(s.name+"/NextPacket", func(b *testing.B) {
			d := xml.NewDecoder(bufio.NewReader(&repeat{head: benchHeader, body: s.xml}))
			if _, err := stanza.InitStream(d); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(s.xml)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := stanza.NextPacket(d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var benchText = "Good pilgrim, you do wrong your hand too much, which mannerly devotion shows in this; " +
	"for saints have hands that pilgrims' hands do touch"

func BenchmarkEncode(b *testing.B) {
	from, to := mustJID(b, "#verona%irc.example.net@irc.example.org/Juliet"), mustJID(b, "romeo@montague.example/orchard")
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o := NewMessage(from, to, "groupchat", "b1e7c6a2-4f0d").Elem("", "body", benchText)
			if err := guard(o, from.Domain); err != nil {
				b.Fatal(err)
			}
			o.Release()
		}
	})
	b.Run("xml.Marshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m := stanza.Message{Attrs: stanza.Attrs{From: from.String(), To: to.String(), Type: "groupchat", Id: "b1e7c6a2-4f0d"}, Body: benchText}
			if _, err := xml.Marshal(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fan-out", func(b *testing.B) {
		b.ReportAllocs()
		o := NewMessage(from, to, "groupchat", "b1e7c6a2-4f0d").Elem("", "body", benchText)
		defer o.Release()
		for b.Loop() {
			o.Clone(to).Release()
		}
	})
}

// cpuTime is what the process has used, in user and kernel mode.
func cpuTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// BenchmarkEcho sends messages over loopback to a component that returns each to
// its sender. The server's side is the same for both components and does next to
// nothing: it writes prepared bytes and counts what comes back. It reports the CPU
// time of the whole process per stanza, and once the same for the server's side
// alone, talking to a peer that only copies.
func BenchmarkEcho(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		srv := newEchoServer(b)
		var s *Stream
		s = NewStream(StreamConfig{
			Domain: testDomain, Address: srv.addr(), Log: slog.New(slog.DiscardHandler),
			Secret: func() (string, error) { return testSecret, nil },
			Handler: func(m *Stanza) {
				body, _ := m.Body()
				// The queue is larger than all that is in flight here.
				s.TrySend(NewMessage(m.To, m.From, m.Type, m.ID).Elem("", "body", body))
			},
		})
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Run(ctx) }()
		srv.run(b)
		cancel()
		srv.close()
		<-done
	})
	b.Run("library", func(b *testing.B) {
		srv := newEchoServer(b)
		router := xmpp.NewRouter()
		router.HandleFunc("message", func(s xmpp.Sender, p stanza.Packet) {
			m := p.(stanza.Message)
			_ = s.Send(stanza.Message{Attrs: stanza.Attrs{From: m.To, To: m.From, Type: m.Type, Id: m.Id}, Body: m.Body})
		})
		c, err := xmpp.NewComponent(xmpp.ComponentOptions{
			TransportConfiguration: xmpp.TransportConfiguration{Address: srv.addr(), Domain: testDomain},
			Domain:                 testDomain, Secret: testSecret,
		}, router, func(error) {})
		if err != nil {
			b.Fatal(err)
		}
		connected := make(chan error, 1)
		go func() { connected <- c.Connect() }()
		srv.run(b)
		if err := <-connected; err != nil {
			b.Error(err)
		}
		srv.close()
	})
	b.Run("server-alone", func(b *testing.B) {
		srv := newEchoServer(b)
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := net.Dial("tcp", srv.addr())
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, benchHeader+"<handshake></handshake>")
			in := bufio.NewReader(conn)
			if skipPast(in, "<stream:stream", ">") != nil || skipPast(in, "<handshake", "</handshake>") != nil {
				return
			}
			_, _ = io.Copy(conn, in)
		}()
		srv.run(b)
		srv.close()
		<-done
	})
}

// echoServer is the server's side of the benchmark.
type echoServer struct {
	l    net.Listener
	conn net.Conn
}

func newEchoServer(b *testing.B) *echoServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return &echoServer{l: l}
}

func (e *echoServer) addr() string { return e.l.Addr().String() }

func (e *echoServer) close() {
	if e.conn != nil {
		e.conn.Close()
	}
	e.l.Close()
}

const (
	echoWindow = 256 // stanzas on their way at most
	echoBatch  = 32  // stanzas the server writes at once
)

// login plays the server of XEP-0114, without looking at the secret.
func (e *echoServer) login(in *bufio.Reader) error {
	if err := skipPast(in, "<stream:stream", ">"); err != nil {
		return err
	}
	if _, err := io.WriteString(e.conn, benchHeader); err != nil {
		return err
	}
	if err := skipPast(in, "<handshake", "</handshake>"); err != nil {
		return err
	}
	_, err := io.WriteString(e.conn, "<handshake></handshake>")
	return err
}

// skipPast reads until begin was seen and end after it.
func skipPast(in *bufio.Reader, begin, end string) error {
	var seen strings.Builder
	for {
		c, err := in.ReadByte()
		if err != nil {
			return err
		}
		seen.WriteByte(c)
		if _, rest, ok := strings.Cut(seen.String(), begin); ok && strings.HasSuffix(rest, end) {
			return nil
		}
	}
}

// run sends b.N stanzas, at most echoWindow of them unanswered, and waits for
// their return.
func (e *echoServer) run(b *testing.B) {
	conn, err := e.l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	e.conn = conn
	in := bufio.NewReaderSize(conn, 64<<10)
	if err := e.login(in); err != nil {
		b.Fatal(err)
	}
	one := benchStanzas[0].xml
	batch := []byte(strings.Repeat(one, echoBatch))
	slots := make(chan struct{}, echoWindow/echoBatch)
	sent := make(chan error, 1)
	b.SetBytes(int64(len(one)))
	b.ResetTimer()
	before := cpuTime()
	go func() {
		for left := b.N; left > 0; left -= echoBatch {
			slots <- struct{}{}
			if _, err := conn.Write(batch[:len(one)*min(left, echoBatch)]); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for got := 1; got <= b.N; got++ {
		for {
			part, err := in.ReadSlice('>')
			if err != nil {
				b.Fatal(err)
			}
			if bytes.HasSuffix(part, []byte("</message>")) {
				break
			}
		}
		if got%echoBatch == 0 || got == b.N {
			<-slots
		}
	}
	if err := <-sent; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/stanza")
}
