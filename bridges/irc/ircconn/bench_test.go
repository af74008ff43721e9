package ircconn

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// stream is a TCP connection that is fed with the same lines for ever.
func stream(b *testing.B, lines string) *Conn {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		sock, err := l.Accept()
		if err != nil {
			return
		}
		defer sock.Close()
		r := bufio.NewScanner(sock)
		for r.Scan() && !strings.HasPrefix(r.Text(), "USER") {
		}
		go io.Copy(io.Discard, sock)
		if _, err := sock.Write([]byte(":srv 001 alice :Welcome\r\n")); err != nil {
			return
		}
		chunk := []byte(strings.Repeat(lines, 1+16000/len(lines)))
		for err == nil {
			_, err = sock.Write(chunk)
		}
	}()
	return dial(b, Options{Endpoints: []Endpoint{{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).AddrPort().Port()}}, Nick: "alice"})
}

// BenchmarkRead is from the socket to a parsed message.
func BenchmarkRead(b *testing.B) {
	for name, line := range map[string]string{
		"plain": ":bob!~bob@some.host.example PRIVMSG #channel :hello, how are you doing today? I am fine.\r\n",
		"tags": "@time=2026-11-21T03:00:00.000Z;msgid=AbCdEfGhIjKl;account=bob :bob!~bob@some.host.example PRIVMSG #channel " +
			":hello, how are you doing today? I am fine.\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			c := stream(b, line)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Read(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseMessage(b *testing.B) {
	const line = "@time=2026-11-21T03:00:00.000Z;msgid=AbCdEfGhIjKl :bob!~bob@some.host.example PRIVMSG #channel :hello, how are you doing today?"
	b.ReportAllocs()
	for b.Loop() {
		m, _ := ParseMessage(line)
		_ = m.Tags.Value("msgid")
	}
}

func BenchmarkWrite(b *testing.B) {
	c := stream(b, "PONG x\r\n")
	line := Line{Command: "PRIVMSG", Params: []string{"#channel", "hello, how are you doing today? I am fine."}, Fence: true}
	b.ReportAllocs()
	for b.Loop() {
		for {
			if _, err := c.Write(line); err == nil {
				break
			}
			runtime.Gosched()
		}
	}
}

// BenchmarkIdle reports what a registered connection costs while nothing
// happens, its socket and its reading goroutine included: heap and stack in
// bytes. The far end's socket is in it too (about 0.5 kB).
func BenchmarkIdle(b *testing.B) {
	const n = 400
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	o := Options{Endpoints: []Endpoint{{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).AddrPort().Port()}}, Caps: testCaps}
	var heap, stack uint64
	for b.Loop() {
		heap0, stack0 := usage()
		socks, conns := make([]net.Conn, n), make([]*Conn, n)
		var readers sync.WaitGroup
		for i := range n {
			o.Nick = fmt.Sprint("n", i)
			welcomed := make(chan error, 1)
			go func() {
				var err error
				if socks[i], err = l.Accept(); err == nil {
					err = welcome(socks[i])
				}
				welcomed <- err
			}()
			if conns[i], err = Dial(b.Context(), o); err != nil {
				b.Fatal(err)
			}
			if err := <-welcomed; err != nil {
				b.Fatal(err)
			}
			readers.Go(func() {
				for {
					if _, err := conns[i].Read(b.Context()); err != nil {
						return
					}
				}
			})
		}
		heap1, stack1 := usage()
		heap, stack = (heap1-heap0)/n, (stack1-stack0)/n
		for i := range n {
			conns[i].Close()
			socks[i].Close()
		}
		readers.Wait()
	}
	b.ReportMetric(float64(heap), "heap-B/conn")
	b.ReportMetric(float64(stack), "stack-B/conn")
}

// welcome plays a server until the client is registered.
func welcome(sock net.Conn) error {
	greeting := ":srv CAP * LS :" + strings.Join(testCaps, " ") + "\r\n:srv 001 alice :Welcome\r\n"
	for _, t := range []string{"CASEMAPPING=ascii NICKLEN=30 PREFIX=(qaohv)~&@%+", "NETWORK=Test CHANTYPES=# CHANMODES=beI,k,l,imnpst"} {
		greeting += ":srv 005 alice " + t + " :are supported\r\n"
	}
	_, err := sock.Write([]byte(greeting))
	return err
}

func usage() (heap, stack uint64) {
	for range 3 {
		runtime.GC()
		time.Sleep(20 * time.Millisecond) // for the readers to be back in their wait
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}
