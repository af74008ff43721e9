package main

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // XEP-0114 section 3 prescribes it
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// relayVariable makes a test binary act as the relay.
const relayVariable = "TRANSPORTD_LOAD_RELAY"

// relay is the least a gateway can do: it finds the ends of stanzas and lines, copies the text into a fixed template and
// coalesces what it writes. It parses no XML and no IRC, keeps no session and asks nobody. Joining is done just far enough
// for the load program to treat it like any gateway.
type relay struct {
	ircAddr, domain string
	xmpp            net.Conn
	out             outbox
	fault           faults

	mu    sync.RWMutex
	users []*relayUser // by number
}

type relayUser struct {
	conn net.Conn
	out  outbox
	// The templates: what stands before the text.
	line, reflection, fromRoom, afterNick []byte
	nick, room, full                      string
	queued                                bool // lines wait for the end of the read; the XMPP reader's own
}

// relayMain is the subcommand nullrelay.
func relayMain(args []string) error {
	fs := flag.NewFlagSet("nullrelay", flag.ContinueOnError)
	xmpp := fs.String("xmpp", "", "address of the XMPP server's component port")
	irc := fs.String("irc", "", "address of the IRC server")
	domain := fs.String("domain", "", "the component's domain")
	pass := fs.String("secret", "", "the component's secret")
	fault := fs.String("fault", "", "what to do wrong, for tests: lose, double, swap or alter, @, line, reflection or stanza, =, which message")
	if err := fs.Parse(args); err != nil {
		return err
	}
	f, err := parseFaults(*fault)
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", *xmpp)
	if err != nil {
		return err
	}
	defer c.Close()
	r := &relay{ircAddr: *irc, domain: *domain, xmpp: c, fault: f}
	r.out.w = c
	rest, err := r.handshake(*pass)
	if err != nil {
		return err
	}
	return r.readXMPP(rest)
}

func (r *relay) handshake(pass string) ([]byte, error) {
	if _, err := fmt.Fprintf(r.xmpp, "<stream:stream xmlns='jabber:component:accept' "+
		"xmlns:stream='http://etherx.jabber.org/streams' to='%s'>", r.domain); err != nil {
		return nil, err
	}
	var got []byte
	until := func(text string) error {
		for !bytes.Contains(got, []byte(text)) {
			var b [1024]byte
			n, err := r.xmpp.Read(b[:])
			if err != nil {
				return err
			}
			got = append(got, b[:n]...)
		}
		return nil
	}
	if err := until("'>"); err != nil {
		return nil, err
	}
	id := attr(got, " id=")
	sum := sha1.Sum(append(bytes.Clone(id), pass...)) //nolint:gosec // see the import
	if _, err := fmt.Fprintf(r.xmpp, "<handshake>%s</handshake>", hex.EncodeToString(sum[:])); err != nil {
		return nil, err
	}
	const done = "<handshake/>"
	if err := until(done); err != nil {
		return nil, err
	}
	_, rest, _ := bytes.Cut(got, []byte(done))
	return rest, nil
}

const relayBuffer = 128 << 10

// readXMPP turns stanzas into lines and reflections. What one read brought is written at once, each connection in one call.
func (r *relay) readXMPP(rest []byte) error {
	buf := make([]byte, relayBuffer)
	have := copy(buf, rest)
	var lines, queued []*relayUser
	for {
		used := 0
		for {
			b := buf[used:have]
			if len(b) > 1 && b[1] != 'm' {
				n, err := r.other(b)
				if err != nil {
					return err
				}
				if n == 0 {
					break
				}
				used += n
				continue
			}
			end := bytes.Index(b, []byte("</message>"))
			if end < 0 {
				break
			}
			if u := r.message(b[:end]); u != nil && !u.queued {
				u.queued = true
				queued = append(queued, u)
			}
			used += end + len("</message>")
		}
		lines, queued = queued, lines[:0]
		for _, u := range lines {
			u.queued = false
			if err := u.out.flush(); err != nil {
				return err
			}
		}
		if err := r.out.flush(); err != nil {
			return err
		}
		have = copy(buf, buf[used:have])
		n, err := r.xmpp.Read(buf[have:])
		if err == io.EOF || n == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		have += n
	}
}

// message relays one stanza: its text to the user's connection and back as the room's reflection.
func (r *relay) message(b []byte) *relayUser {
	u := r.user(b)
	text := bytes.Index(b, []byte("<body>"))
	if u == nil || text < 0 {
		return nil
	}
	text += len("<body>")
	end := bytes.IndexByte(b[text:], '<')
	if end < 0 {
		return nil
	}
	body := b[text : text+end]
	u.out.fill(func(o []byte) []byte {
		if r.fault.any {
			return r.fault.line.copies(o, u.line, body, []byte("\r\n"))
		}
		return append(append(append(o, u.line...), body...), '\r', '\n')
	})
	r.out.fill(func(o []byte) []byte {
		if r.fault.any {
			return r.fault.reflection.copies(o, u.reflection, body, []byte(endOfMessage))
		}
		return append(append(append(o, u.reflection...), body...), endOfMessage...)
	})
	return u
}

const endOfMessage = "</body></message>"

// user finds the sender of a stanza by the number in its address.
func (r *relay) user(b []byte) *relayUser {
	const from = " from='u"
	i := bytes.Index(b, []byte(from))
	if i < 0 {
		return nil
	}
	n := 0
	for _, c := range b[i+len(from):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if n >= len(r.users) {
		return nil
	}
	return r.users[n]
}

// other takes any stanza but a message: a join, or an IQ, which gets an empty result.
func (r *relay) other(b []byte) (int, error) {
	s, n, err := nextStanza(b)
	if err != nil || n == 0 {
		return n, err
	}
	from, to := string(attr(s.head, " from=")), string(attr(s.head, " to="))
	switch s.kind {
	case 'p':
		if attr(s.head, " type=") == nil {
			err = r.join(from, to)
		}
	case 'i':
		r.out.add(fmt.Appendf(nil, "<iq type='result' id='%s' from='%s' to='%s'/>", attr(s.head, " id="), to, from))
	}
	return n, err
}

// join opens the user's connection and starts reading it.
func (r *relay) join(full, occupant string) error {
	room, nick, _ := bytes.Cut([]byte(occupant), []byte("/"))
	channel, _, _ := bytes.Cut(room, []byte("%"))
	u := &relayUser{nick: string(nick), room: string(room), full: full}
	u.line = fmt.Appendf(nil, "PRIVMSG %s :", channel)
	u.fromRoom = fmt.Appendf(nil, "<message from='%s/", room)
	u.afterNick = fmt.Appendf(nil, "' to='%s' type='groupchat' id='relay'><body>", full)
	u.reflection = append(append(bytes.Clone(u.fromRoom), nick...), u.afterNick...)
	c, err := net.Dial("tcp", r.ircAddr)
	if err != nil {
		return err
	}
	u.conn, u.out.w = c, c
	n := userNumber(nick)
	r.mu.Lock()
	for len(r.users) <= n {
		r.users = append(r.users, nil)
	}
	r.users[n] = u
	r.mu.Unlock()
	go func() {
		fmt.Fprintln(os.Stderr, "nullrelay:", r.readIRC(u))
		r.xmpp.Close() // ends readXMPP and with it the process
	}()
	return u.out.write(fmt.Appendf(nil, "NICK %s\r\nUSER %s 0 * :%s\r\nJOIN %s\r\n", nick, nick, nick, channel))
}

// readIRC turns lines into stanzas until the connection ends, and returns why.
func (r *relay) readIRC(u *relayUser) error {
	buf := make([]byte, 4096)
	have := 0
	for {
		n, err := u.conn.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		used := 0
		r.out.fill(func(o []byte) []byte {
			for {
				i := bytes.IndexByte(buf[used:have], '\n')
				if i < 0 {
					return o
				}
				o = r.line(o, u, buf[used:used+i])
				used += i + 1
			}
		})
		if err := r.out.flush(); err != nil {
			return err
		}
		if err := u.out.flush(); err != nil { // PONGs
			return err
		}
		if have == len(buf) && len(buf) < relayBuffer {
			buf = append(buf, make([]byte, len(buf))...)
		}
		have = copy(buf, buf[used:have])
	}
}

var privmsg = []byte(" PRIVMSG ")

// line appends the stanza for one line to o.
func (r *relay) line(o []byte, u *relayUser, b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\r"))
	i := bytes.Index(b, privmsg)
	if i < 0 {
		return r.otherLine(o, u, b)
	}
	text := bytes.Index(b[i:], []byte(" :"))
	nick := bytes.IndexByte(b, '!')
	if text < 0 || nick < 1 {
		return o
	}
	body := b[i+text+2:]
	if r.fault.any {
		head := append(append(bytes.Clone(u.fromRoom), b[1:nick]...), u.afterNick...)
		return r.fault.stanza.copies(o, head, body, []byte(endOfMessage))
	}
	o = append(append(append(o, u.fromRoom...), b[1:nick]...), u.afterNick...)
	return append(append(o, body...), endOfMessage...)
}

// otherLine answers PING and shows who is in the channel: one presence a name, the user's own at the end of the list.
func (r *relay) otherLine(o []byte, u *relayUser, b []byte) []byte {
	switch {
	case bytes.Contains(b, []byte(" JOIN ")):
		nick, _, _ := bytes.Cut(b[1:], []byte("!"))
		if string(nick) != u.nick {
			o = fmt.Appendf(o, "<presence from='%s/%s' to='%s'/>", u.room, nick, u.full)
		}
	case bytes.HasPrefix(b, []byte("PING ")):
		u.out.add(fmt.Appendf(nil, "PONG %s\r\n", b[len("PING "):]))
	case bytes.Contains(b, []byte(" 353 ")):
		_, names, _ := bytes.Cut(b[1:], []byte(":"))
		for name := range bytes.FieldsSeq(names) {
			if name = bytes.TrimLeft(name, "@+"); string(name) != u.nick {
				o = fmt.Appendf(o, "<presence from='%s/%s' to='%s'/>", u.room, name, u.full)
			}
		}
	case bytes.Contains(b, []byte(" 366 ")):
		o = fmt.Appendf(o, "<presence from='%s/%s' to='%s'><x xmlns='http://jabber.org/protocol/muc#user'>"+
			"<status code='110'/></x></presence>", u.room, u.nick, u.full)
	}
	return o
}
