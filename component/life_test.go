package component

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"transportd/internal/xmpptest"
)

// pipeRig starts a stream in a bubble of synctest, where time is simulated.
func pipeRig(t *testing.T, opts ...func(*StreamConfig)) *streamRig {
	srv := xmpptest.NewPipeServer(t, testDomain, testSecret)
	srv.Patience = 24 * time.Hour
	return startStreamRig(t, srv, append(opts, func(c *StreamConfig) {
		if c.Dial == nil {
			c.Dial = srv.Dial
		}
	})...)
}

// A half-open connection is found out within 90 seconds; one that is only idle
// stays.
func TestKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := pipeRig(t)
		c := r.up(t)
		began := time.Now()
		for range 10 {
			ping := c.Expect(`iq[@type='get'][@from='irc.example.org'][@to='irc.example.org']/{urn:xmpp:ping}ping`)
			c.Send("%s", ping.String()) // the server routes it back to us
		}
		if d := time.Since(began); d < 4*time.Minute || d > 6*time.Minute {
			t.Errorf("10 pings took %v", d)
		}
		// Whatever comes is a sign of life.
		for range 10 {
			c.SendRaw(" ")
			time.Sleep(20 * time.Second)
		}
		c.Stall()
		stalled := time.Now()
		if st := <-r.states; st.Up {
			t.Fatalf("got %+v", st)
		}
		if d := time.Since(stalled); d > 90*time.Second {
			t.Errorf("it took %v to find out", d)
		}
		if len(r.got) != 0 {
			t.Error("a ping of our own reached the handler")
		}
		r.stop()
	})
}

// A server that no longer reads is found out by the write deadline.
func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := pipeRig(t)
		c := r.up(t)
		c.Stall()
		stop := make(chan struct{})
		go func() { // it still talks
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
					c.SendRaw(" ")
				}
			}
		}()
		began := time.Now()
		if err := r.Send(context.Background(), NewMessage(r.Domain(), JID{Domain: "b.example"}, "", "1")); err != nil {
			t.Fatal(err)
		}
		if st := <-r.states; st.Up {
			t.Fatalf("got %+v", st)
		}
		if d := time.Since(began); d < 29*time.Second || d > 31*time.Second {
			t.Errorf("it took %v to find out", d)
		}
		close(stop)
		// The message was not taken by the server: it is sent again, once.
		r.up(t).Expect("message[@id='1']")
		r.stop()
	})
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		refuse := errors.New("refused")
		r := pipeRig(t, func(c *StreamConfig) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				times = append(times, time.Now())
				return nil, refuse
			}
		})
		time.Sleep(20 * time.Minute)
		r.stop()
		if len(times) < 20 || len(times) > 60 {
			t.Errorf("%d attempts in 20 minutes", len(times))
		}
		for i := 1; i < len(times); i++ {
			gap := times[i].Sub(times[i-1])
			longest := min(time.Minute, time.Second<<min(i-1, 10))
			if gap > longest || gap < longest/2 {
				t.Errorf("pause %d was %v, want %v to %v", i, gap, longest/2, longest)
			}
		}
		if n := r.Stats().Failures; n != uint64(len(times)) {
			t.Errorf("%d failures were counted of %d", n, len(times))
		}
	})
}

// What a retry cannot cure is retried slowly and said loudly.
func TestHopelessRefusals(t *testing.T) {
	for _, condition := range []string{"not-authorized", "host-unknown", "conflict"} {
		t.Run(condition, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				r := pipeRig(t, func(c *StreamConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
				began := time.Now()
				for range 5 {
					c := r.srv.AcceptRaw()
					c.Header()
					c.SendHeader()
					c.HandshakeOK()
					c.StreamError(condition, "")
				}
				if d := time.Since(began); d < 4*30*time.Second {
					t.Errorf("5 attempts took only %v", d)
				}
				st := <-r.states
				if st.Text != hopeless[condition] || len(r.states) != 0 {
					t.Errorf("told %+v and %d more", st, len(r.states))
				}
				r.stop()
				if !strings.Contains(log.String(), "level=ERROR") || strings.Contains(log.String(), testSecret) {
					t.Errorf("the log says\n%s", log.String())
				}
			})
		})
	}
}

// A server that closes without a word after a wrong digest has refused it too.
func TestSilentRefusal(t *testing.T) {
	r := newStreamRig(t, quick)
	c := r.srv.AcceptRaw()
	c.Header()
	c.SendHeader()
	c.HandshakeOK()
	c.SendRaw("</stream:stream>")
	var se *StreamError
	if st := <-r.states; !errors.As(st.Err, &se) || se.Condition != "not-authorized" {
		t.Fatalf("got %+v", st)
	}
}

func TestSecretIsReadAtEveryAttempt(t *testing.T) {
	srv := xmpptest.NewServer(t, testDomain, "second")
	var calls atomic.Int32
	r := startStreamRig(t, srv, quick, func(c *StreamConfig) {
		c.Secret = func() (string, error) {
			switch calls.Add(1) {
			case 1:
				return "", errors.New("no such file")
			case 2:
				return "first", nil
			}
			return "second", nil
		}
	})
	srv.AcceptRaw().ExpectGone()
	c := srv.AcceptRaw()
	c.Header()
	c.SendHeader()
	if c.HandshakeOK() {
		t.Fatal("the first secret fits")
	}
	c.StreamError("not-authorized", "")
	r.up(t)
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	srv := xmpptest.NewTLSServer(t, testDomain, testSecret, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	r := startStreamRig(t, srv, func(c *StreamConfig) { c.TLS = &tls.Config{RootCAs: roots} })
	r.up(t).Send(`<message from='a@b.example' to='irc.example.org'/>`)
	<-r.got
	r.stop()

	r = startStreamRig(t, srv, quick, func(c *StreamConfig) { c.TLS = &tls.Config{} })
	srv.AcceptRaw()
	var unknown *tls.CertificateVerificationError
	if st := <-r.states; !errors.As(st.Err, &unknown) {
		t.Errorf("an unknown certificate was accepted: %+v", st)
	}
}

func TestServerGoesAndComesBack(t *testing.T) {
	r := newStreamRig(t, quick)
	for range 3 {
		c := r.up(t)
		c.Send(`<message from='a@b.example' to='irc.example.org'/>`)
		<-r.got
		r.srv.Stop()
		if st := <-r.states; st.Up {
			t.Fatalf("got %+v", st)
		}
		if r.Up() {
			t.Error("the stream says it is up")
		}
		r.srv.Start()
	}
	r.up(t)
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		r := newStreamRig(t, quick)
		c := r.up(t)
		got := ask(t, r.Stream, "a@b.example/r", "1", time.Hour)
		c.Expect("iq")
		c.Break()
		<-got
		r.srv.AcceptRaw() // in the middle of a login
		r.stop()
		r.srv.Stop()
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before+1 {
			return
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}

// Many senders at once, over streams that break: what they send arrives whole,
// and of each sender in order.
func TestConcurrentSenders(t *testing.T) {
	r := newStreamRig(t)
	c := r.up(t)
	const senders, each = 16, 200
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			from := JID{Local: string(rune('a' + i)), Domain: testDomain}
			for n := range each {
				o := NewMessage(from, JID{Domain: "b.example"}, "", string(rune('0'+n%10))).
					Elem("", "body", strings.Repeat("x", 5000+n))
				if err := r.Send(context.Background(), o); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := map[string]int{}
	for range senders * each {
		n, _ := c.Until("message/body") // between pings of the stream's own, when the machine is slow
		from := n.Attr("from")
		if got, want := len(n.Child("", "body").Text), 5000+seen[from]; got != want {
			t.Fatalf("message %d of %s has %d bytes, want %d", seen[from], from, got, want)
		}
		seen[from]++
	}
	wg.Wait()
}
