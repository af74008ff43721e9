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
	"time"
)

//go:embed matrixclient.py
var nioProgram string

// MatrixClients is one matrix-nio process, in which any number of clients run.
type MatrixClients struct {
	proc *Process
	dir  string
	ca   string

	mu      sync.Mutex
	in      *os.File // its standard input
	clients map[string]*MatrixClient
	calls   map[int]chan matrixReport // by number, those without an answer
	next    int
	err     error // why nothing more can be asked
}

// MatrixClient is one device of one user, logged in and syncing. It keeps what it
// encrypts with in memory's stead on disk, so that it lives as long as its process.
type MatrixClient struct {
	UserID string
	Device string
	Token  string // access token

	process *MatrixClients
	server  *Homeserver
	id      string
	in      inbox[MatrixEvent]
}

// StartMatrixClients starts the process. It is ready at once.
func (e *Env) StartMatrixClients() (*MatrixClients, error) {
	script, err := e.pythonProgram("matrix-clients", nioProgram, "nio, olm", "python3-matrix-nio")
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(script)
	proc, in, out, err := e.startPiped("matrix-clients", dir, exec.Command(python, "-B", script))
	if err != nil {
		return nil, err
	}
	m := &MatrixClients{proc: proc, dir: dir, ca: e.CAFile(), in: in, clients: map[string]*MatrixClient{}, calls: map[int]chan matrixReport{}}
	go m.read(out)
	return m, nil
}

// matrixReport is a line of the process's output: the answer to a call, or an event.
type matrixReport struct {
	Call  int
	OK    json.RawMessage
	Error string

	Client string
	T      float64 // when it came, seconds
	Down   string  // why the client does not sync any more
	Event  *MatrixEvent
}

func (m *MatrixClients) read(out *os.File) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<28)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "{") {
			continue // a library printed something
		}
		var r matrixReport
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			m.end(fmt.Errorf("a report of the Matrix clients cannot be read: %w: %s", err, lines.Text()))
			continue
		}
		m.report(r)
	}
	m.end(errors.New("the process of the Matrix clients ended"))
}

func (m *MatrixClients) report(r matrixReport) {
	m.mu.Lock()
	call, client := m.calls[r.Call], m.clients[r.Client]
	delete(m.calls, r.Call)
	m.mu.Unlock()
	switch {
	case call != nil:
		call <- r
	case client != nil && r.Down != "":
		client.in.close(errors.New("the client does not sync any more: " + r.Down))
	case client != nil && r.Event != nil:
		sec, frac := math.Modf(r.T)
		r.Event.At = time.Unix(int64(sec), int64(frac*1e9))
		client.in.put(*r.Event)
	}
}

// end fails all that waits and whatever will be asked.
func (m *MatrixClients) end(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
		m.in.Close()
	}
	for _, call := range m.calls {
		call <- matrixReport{Error: err.Error()}
	}
	clear(m.calls)
	for _, c := range m.clients {
		c.in.close(err)
	}
}

// call asks the process and reads the answer into answer, a pointer, unless that is
// nil.
func (m *MatrixClients) call(ctx context.Context, question map[string]any, answer any) error {
	told := make(chan matrixReport, 1)
	m.mu.Lock()
	m.next++
	question["call"] = m.next
	line, err := json.Marshal(question)
	if err == nil {
		err = m.err
	}
	if err == nil {
		m.calls[m.next] = told
		_, err = m.in.Write(append(line, '\n'))
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case r := <-told:
		if r.Error != "" {
			return fmt.Errorf("%v of %v: %s\n%s", question["op"], question["client"], r.Error, Tail(m.proc.Log(), 10))
		}
		if answer == nil {
			return nil
		}
		return json.Unmarshal(r.OK, answer)
	case <-ctx.Done():
		return fmt.Errorf("%v of %v: %w\n%s", question["op"], question["client"], context.Cause(ctx), Tail(m.proc.Log(), 10))
	}
}

// Login logs a user in with a new device of that name and starts to sync. What
// happened before comes as events too, as far as the homeserver tells it.
func (m *MatrixClients) Login(ctx context.Context, h *Homeserver, user, device string) (*MatrixClient, error) {
	return m.login(ctx, h, user, device, h.URL)
}

// LoginTLS is Login over TLS, the homeserver's certificate verified.
func (m *MatrixClients) LoginTLS(ctx context.Context, h *Homeserver, user, device string) (*MatrixClient, error) {
	return m.login(ctx, h, user, device, h.TLSURL)
}

func (m *MatrixClients) login(ctx context.Context, h *Homeserver, user, device, url string) (*MatrixClient, error) {
	m.mu.Lock()
	c := &MatrixClient{UserID: MatrixID(user), process: m, server: h, id: user + "/" + strconv.Itoa(len(m.clients)+1)}
	m.clients[c.id] = c
	m.mu.Unlock()
	var told struct{ Device, Token string }
	err := c.do(ctx, "login", map[string]any{
		"url": url, "ca": m.ca, "user": c.UserID, "password": MatrixPassword(user), "name": device,
		"store": filepath.Join(m.dir, strings.ReplaceAll(c.id, "/", "-")),
	}, &told)
	c.Device, c.Token = told.Device, told.Token
	return c, err
}

// do has the process do something as this client.
func (c *MatrixClient) do(ctx context.Context, op string, args map[string]any, answer any) error {
	question := map[string]any{"op": op, "client": c.id}
	for name, value := range args {
		question[name] = value
	}
	return c.process.call(ctx, question, answer)
}

// Request asks the homeserver itself as this user, for what the library cannot: see
// Homeserver.Request.
func (c *MatrixClient) Request(ctx context.Context, method, path string, body, answer any) error {
	return c.server.Request(ctx, c.Token, method, path, body, answer)
}

// Expect waits for an event that matches and that no Expect has taken yet.
func (c *MatrixClient) Expect(ctx context.Context, ms ...Condition[MatrixEvent]) (MatrixEvent, error) {
	want := All(ms...)
	ev, err := c.in.take(ctx, want.ok)
	if err != nil {
		err = fmt.Errorf("%s: no event matched: %s: %w\nevents not taken:\n%s", c.UserID, want, err, c.waiting())
	}
	return ev, err
}

// Seen tells whether an event that matches has arrived and was not taken. To prove
// that something does not come, use it after what must come later.
func (c *MatrixClient) Seen(ms ...Condition[MatrixEvent]) (MatrixEvent, bool) {
	return c.in.peek(All(ms...).ok)
}

// Received is everything received, taken or not, that matches.
func (c *MatrixClient) Received(ms ...Condition[MatrixEvent]) []MatrixEvent {
	want := All(ms...)
	var list []MatrixEvent
	for _, ev := range c.in.all() {
		if want.ok(ev) {
			list = append(list, ev)
		}
	}
	return list
}

// Forget drops what has arrived and was not taken.
func (c *MatrixClient) Forget() { c.in.forget() }

func (c *MatrixClient) waiting() string {
	rest := c.in.rest()
	var b strings.Builder
	for _, ev := range rest[max(0, len(rest)-shownStanzas):] {
		text := ev.String()
		if len(text) > shownBytes {
			text = text[:shownBytes] + "…"
		}
		b.WriteString("  " + text + "\n")
	}
	return b.String()
}

// Logout ends the session and the device with it.
func (c *MatrixClient) Logout(ctx context.Context) error { return c.do(ctx, "logout", nil, nil) }
