package testenv

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

//go:embed slix.py
var slixProgram string

// python is Debian's own interpreter: the one its packages belong to, whatever
// else is in the PATH.
const python = "/usr/bin/python3"

// pythonProgram puts a program into a folder of its own and makes sure that Debian's
// Python has the library it needs.
func (e *Env) pythonProgram(name, text, library, debian string) (path string, err error) {
	if _, err := program(python, debian); err != nil {
		return "", err
	}
	// Isolated: else it would look into the working directory first.
	if err := exec.Command(python, "-I", "-c", "import "+library).Run(); err != nil {
		return "", fmt.Errorf("the Python library %s is missing: run scripts/install-deps.sh test, or install the Debian package %s", library, debian)
	}
	dir, err := e.folder(name)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, name+".py")
	return path, e.write(path, text, 0o644)
}

// XMPPClients is one slixmpp process, in which any number of clients run.
type XMPPClients struct {
	proc *Process

	mu      sync.Mutex
	in      *os.File // its standard input
	clients map[string]*XMPPClient
	next    int
}

// XMPPClient is one resource of one user, logged in.
type XMPPClient struct {
	JID  string // full
	Bare string

	process *XMPPClients
	id      string
	in      inbox[Stanza]
	up      chan error // one message an attempt to connect
	ids     atomic.Int64
	seq     int // of the last stanza; only the reader of the process uses it
	unsent  inbox[Stanza]
	port    int
}

// StartXMPPClients starts the process. It is ready at once.
func (e *Env) StartXMPPClients() (*XMPPClients, error) {
	script, err := e.pythonProgram("xmpp-clients", slixProgram, "slixmpp", "python3-slixmpp")
	if err != nil {
		return nil, err
	}
	proc, in, out, err := e.startPiped("xmpp-clients", filepath.Dir(script), exec.Command(python, "-B", script))
	if err != nil {
		return nil, err
	}
	x := &XMPPClients{proc: proc, in: in, clients: map[string]*XMPPClient{}}
	go x.read(out)
	return x, nil
}

// report is a line of the process's output.
type report struct {
	Ev, ID, XML, Text string
	T                 float64
}

func (x *XMPPClients) read(out *os.File) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			continue // not one of its reports: a library printed something
		}
		x.mu.Lock()
		c := x.clients[r.ID]
		x.mu.Unlock()
		if c != nil {
			c.report(r)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.in.Close()
	for _, c := range x.clients {
		c.in.close(errors.New("the process of the XMPP clients ended"))
	}
}

func (c *XMPPClient) report(r report) {
	switch r.Ev {
	case "up":
		c.JID = r.Text
		c.settle(nil)
	case "failed":
		c.settle(fmt.Errorf("%s: %s", c.JID, r.Text))
	case "down":
		c.settle(errors.New("the connection ended before the login: " + r.Text))
		c.in.close(errors.New("the client is not connected any more: " + r.Text))
	case "stanza", "unsent":
		n, err := ParseNode(r.XML)
		if err != nil {
			c.in.close(fmt.Errorf("a stanza cannot be read: %w: %s", err, r.XML))
			return
		}
		sec, frac := math.Modf(r.T)
		if r.Ev == "unsent" {
			c.unsent.put(Stanza{Node: n, At: time.Unix(int64(sec), int64(frac*1e9))})
			return
		}
		c.seq++
		c.in.put(Stanza{Node: n, At: time.Unix(int64(sec), int64(frac*1e9)), Seq: c.seq})
	}
}

// settle ends an attempt to connect, if there is one.
func (c *XMPPClient) settle(err error) {
	select {
	case c.up <- err:
	default:
	}
}

func (x *XMPPClients) command(v map[string]any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	_, err = x.in.Write(append(line, '\n'))
	return err
}

// Connect logs a user in with a resource; the password is the name. No presence
// is sent.
func (x *XMPPClients) Connect(ctx context.Context, s *XMPPServer, user, resource string) (*XMPPClient, error) {
	x.mu.Lock()
	x.next++
	bare := user + "@" + Domain
	c := &XMPPClient{JID: bare + "/" + resource, Bare: bare, process: x, id: strconv.Itoa(x.next), up: make(chan error, 1), port: s.C2S}
	x.clients[c.id] = c
	x.mu.Unlock()
	return c, c.connect(ctx)
}

func (c *XMPPClient) connect(ctx context.Context) error {
	user, _, _ := strings.Cut(c.Bare, "@")
	if err := c.process.command(map[string]any{"op": "connect", "id": c.id, "jid": c.JID, "password": user, "port": c.port}); err != nil {
		return err
	}
	select {
	case err := <-c.up:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: logging in: %w", c.JID, context.Cause(ctx))
	}
}

// Reconnect logs in again after the connection ended.
func (c *XMPPClient) Reconnect(ctx context.Context) error {
	select {
	case <-c.up: // left over from the end
	default:
	}
	c.in.reopen()
	return c.connect(ctx)
}

// Send sends one stanza, written with fmt.Sprintf's verbs; arguments are escaped
// when they are strings.
func (c *XMPPClient) Send(format string, args ...any) error {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = Escape(s)
		}
	}
	return c.process.command(map[string]any{"op": "send", "id": c.id, "xml": fmt.Sprintf(format, args...)})
}

// Request sends an iq with the payload and waits for its answer, which may be an
// error.
func (c *XMPPClient) Request(ctx context.Context, typ, to, payload string) (Stanza, error) {
	id := c.NewID()
	if err := c.Send(`<iq type='%s' to='%s' id='%s'>`+strings.ReplaceAll(payload, "%", "%%")+`</iq>`, typ, to, id); err != nil {
		return Stanza{}, err
	}
	return c.Expect(ctx, IQ(ID(id), Any(Type("result"), Type("error"))))
}

// Bookmark has the user's clients join a room when they start (XEP-0402).
func (c *XMPPClient) Bookmark(ctx context.Context, room, nick string) error {
	answer, err := c.Request(ctx, "set", c.Bare, `<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:bookmarks:1'><item id='`+
		Escape(room)+`'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'><nick>`+Escape(nick)+`</nick></conference></item></publish></pubsub>`)
	if err == nil && answer.Attr("type") != "result" {
		err = fmt.Errorf("%s: no bookmark of %s: %s", c.JID, room, answer)
	}
	return err
}

// NewID makes an id for a stanza.
func (c *XMPPClient) NewID() string { return fmt.Sprintf("t%s-%d", c.id, c.ids.Add(1)) }

// Expect waits for a stanza that matches and that no Expect has taken yet.
func (c *XMPPClient) Expect(ctx context.Context, ms ...Match) (Stanza, error) {
	want := All(ms...)
	s, err := c.in.take(ctx, func(s Stanza) bool { return want.ok(s.Node) })
	if err != nil {
		err = fmt.Errorf("%s: no stanza matched: %s: %w\nstanzas not taken:\n%s", c.JID, want, err, c.waiting())
	}
	return s, err
}

// ExpectOrder waits for one stanza per condition; they must arrive in this order.
func (c *XMPPClient) ExpectOrder(ctx context.Context, ms ...Match) ([]Stanza, error) {
	var got []Stanza
	for i, m := range ms {
		s, err := c.Expect(ctx, m)
		if err != nil {
			return got, err
		}
		if i > 0 && s.Seq < got[i-1].Seq {
			return got, fmt.Errorf("%s: out of order: %s\ncame before %s", c.JID, s, got[i-1])
		}
		got = append(got, s)
	}
	return got, nil
}

// Seen tells whether a stanza that matches has arrived and was not taken. To
// prove that something does not come, use it after what must come later.
func (c *XMPPClient) Seen(ms ...Match) (Stanza, bool) {
	want := All(ms...)
	return c.in.peek(func(s Stanza) bool { return want.ok(s.Node) })
}

// Received is everything received, taken or not, that matches.
func (c *XMPPClient) Received(ms ...Match) []Stanza {
	want := All(ms...)
	var list []Stanza
	for _, s := range c.in.all() {
		if want.ok(s.Node) {
			list = append(list, s)
		}
	}
	return list
}

// Unsent is what could not be sent because there was no connection.
func (c *XMPPClient) Unsent() []Stanza { return c.unsent.all() }

// Forget drops what has arrived and was not taken.
func (c *XMPPClient) Forget() { c.in.forget() }

// Disconnect ends the session politely.
func (c *XMPPClient) Disconnect() error {
	return c.process.command(map[string]any{"op": "disconnect", "id": c.id})
}

// Abort cuts the connection.
func (c *XMPPClient) Abort() error {
	return c.process.command(map[string]any{"op": "abort", "id": c.id})
}

// AwaitDown waits until the connection has ended.
func (c *XMPPClient) AwaitDown(ctx context.Context) error {
	_, err := c.in.take(ctx, func(Stanza) bool { return false })
	if ctx.Err() != nil {
		return err
	}
	return nil
}

// shownStanzas is how many stanzas an error message shows, and shownBytes how
// much of each.
const (
	shownStanzas = 15
	shownBytes   = 500
)

func (c *XMPPClient) waiting() string {
	rest := c.in.rest()
	var b strings.Builder
	for _, s := range rest[max(0, len(rest)-shownStanzas):] {
		text := s.String()
		if len(text) > shownBytes {
			text = text[:shownBytes] + "…"
		}
		b.WriteString("  " + text + "\n")
	}
	return b.String()
}

// Escape makes text fit for XML, in content and attributes.
func Escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(s)
}

// Raw is an argument of Send that is markup already.
type Raw string
