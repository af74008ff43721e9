package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"transportd/internal/matrixtest"
)

// matrixRow is what idle accounts of Matrix cost: of the gateway, or of a process that does nothing but have as many polls
// wait over the same kind of connection.
type matrixRow struct {
	Gateway     string        `json:"gateway"`
	Transport   string        `json:"transport"`
	Accounts    int           `json:"accounts"`
	Rooms       int           `json:"rooms"` // of each
	PSSBefore   int64         `json:"pss_before_bytes"`
	PSSAfter    int64         `json:"pss_after_bytes"`
	Goroutines  float64       `json:"goroutines_per_account"`
	Connected   time.Duration `json:"connected_in_ns"`
	IdlePercent float64       `json:"idle_cpu_percent"`
}

func (m matrixRow) perAccount() float64 {
	return float64(m.PSSAfter-m.PSSBefore) / 1024 / float64(m.Accounts)
}

// matrixKind is a way in which accounts are connected.
type matrixKind struct {
	name string
	tls  bool // HTTP/2
	e2ee bool // logged in with a device, whose keys are there
}

var matrixKinds = []matrixKind{
	{name: "HTTP/1.1"}, {name: "HTTP/2", tls: true}, {name: "HTTP/2, E2EE", tls: true, e2ee: true},
}

// pollProcess is the least that so many polls can be: an HTTP client with one of them for each account.
const pollProcess = "polls"

// matrixIdle measures idle accounts on a homeserver of its own.
func (b *bench) matrixIdle(ctx context.Context, _ workload) error {
	program := ""
	for _, s := range b.opt.subjects() {
		if t, ok := s.(transportdSubject); ok && !t.archive && !t.old {
			program = t.program
		}
	}
	if program == "" {
		return nil // no gateway of the run knows Matrix
	}
	for _, k := range matrixKinds {
		for _, what := range []string{pollProcess, program} {
			if k.e2ee && what == pollProcess {
				continue
			}
			row, err := b.matrixRow(ctx, k, what)
			if err != nil {
				return fmt.Errorf("%s over %s: %w", row.Gateway, k.name, err)
			}
			b.rep.Matrix = append(b.rep.Matrix, row)
			b.say("  %s over %s: %.1f KiB and %.2f goroutines an account", row.Gateway, k.name, row.perAccount(), row.Goroutines)
		}
	}
	return nil
}

// matrixRig is a homeserver and a process with accounts on it.
type matrixRig struct {
	opt  *options
	kind matrixKind
	dir  string
	srv  *matrixtest.Server
	x    *xmppServer // nil: the process is one of polls
	p    *process
	ops  string
}

func (b *bench) matrixRow(ctx context.Context, k matrixKind, program string) (row matrixRow, err error) {
	row = matrixRow{Gateway: pollProcess, Transport: k.name, Accounts: b.opt.matrixUsers, Rooms: b.opt.matrixRooms}
	dir, err := os.MkdirTemp(b.opt.dir, "matrix-")
	if err != nil {
		return row, err
	}
	r := &matrixRig{opt: b.opt, kind: k, dir: dir}
	if r.srv, err = matrixtest.Open(matrixtest.Config{TLS: k.tls, NoRecord: true, NoPresence: true}); err != nil {
		return row, err
	}
	defer r.srv.Stop()
	r.furnish()
	if program == pollProcess {
		err = r.startPolls()
	} else {
		row.Gateway = "transportd"
		err = r.startGateway(ctx, program)
	}
	if r.x != nil {
		defer r.x.close()
	}
	if r.p != nil {
		defer r.p.stop()
	}
	if err == nil {
		err = r.measure(ctx, &row)
	}
	if err != nil {
		err = fmt.Errorf("%w%s", err, r.p.tail())
	}
	return row, err
}

func matrixName(i int) string { return "account" + strconv.Itoa(i) }

// furnish makes the accounts and their rooms: each is in a direct room with somebody, and in public rooms with others.
func (r *matrixRig) furnish() {
	keeper := r.srv.User("keeper")
	for i := range r.opt.matrixUsers {
		u := r.srv.User(matrixName(i))
		friend := r.srv.User("friend" + strconv.Itoa(i))
		u.Join(friend.Direct(u))
		for n := range r.opt.matrixRooms - 1 {
			room := keeper.Create(matrixtest.RoomOptions{Name: fmt.Sprintf("Room %d of %d", n, i), Topic: "what is said here", Preset: "public_chat"})
			u.Join(room)
			keeper.Say(room, "some words that were said here")
		}
	}
}

func (r *matrixRig) environment() ([]string, error) {
	if !r.kind.tls {
		return nil, nil
	}
	file := filepath.Join(r.dir, "homeserver.pem")
	return []string{"SSL_CERT_FILE=" + file}, os.WriteFile(file, r.srv.CertificatePEM(), 0o600)
}

func (r *matrixRig) start(cmd *exec.Cmd) error {
	env, err := r.environment()
	if err != nil {
		return err
	}
	cmd.Env = append(append(os.Environ(), cmd.Env...), env...)
	r.p, err = startProcess(cmd, filepath.Join(r.dir, "output.log"))
	return err
}

// startPolls starts the process of polls, which waits for the accounts' tokens.
func (r *matrixRig) startPolls() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "nullpolls", "-at", r.srv.URL, "-tokens", r.tokens(), "-stats", r.stats())
	cmd.Env = []string{relayVariable + "=1"}
	return r.start(cmd)
}

func (r *matrixRig) tokens() string { return filepath.Join(r.dir, "tokens") }
func (r *matrixRig) stats() string  { return filepath.Join(r.dir, "goroutines") }

const matrixConfig = `
[store]
path = %q
key_file = %q

[archive]
record = false

[ops]
listen = %q

[[gateways]]
name = "matrix"
domain = %q
driver = "matrix"
server = %q
secret = %q
users = [%q]

[gateways.rates]
connections_user = "off"
connections_domain = "off"
registrations_user = "off"
registrations_domain = "off"

[gateways.matrix]
homeservers = ["*"]
allow_private = true
`

// startGateway starts the gateway and waits until it is there.
func (r *matrixRig) startGateway(ctx context.Context, program string) (err error) {
	if r.x, err = newXMPPServer(gatewayDomain, secret); err != nil {
		return err
	}
	down := make(chan struct{})
	var once sync.Once
	r.x.handle, r.x.chunk = func(stanza) {}, func() {}
	r.x.ended = func(error) { once.Do(func() { close(down) }) }
	go r.x.serve()
	if r.ops, err = freePort(); err != nil {
		return err
	}
	text := fmt.Sprintf(matrixConfig, databaseFile(r.dir), keyFile(r.dir), r.ops, gatewayDomain, local(r.x.port()), secret, userDomain)
	if err := os.WriteFile(configFile(r.dir), []byte(text), 0o600); err != nil {
		return err
	}
	if err := r.start(exec.Command(program, "run", "--config", configFile(r.dir))); err != nil {
		return err
	}
	select {
	case <-r.x.up:
		return nil
	case <-r.p.exited:
		return errors.New("the gateway ended")
	case <-down:
		return errors.New("the gateway did not authenticate")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// measure connects all accounts, leaves them alone and looks at the memory then.
func (r *matrixRig) measure(ctx context.Context, row *matrixRow) (err error) {
	settle, idle := r.opt.settle, min(r.opt.idle, r.opt.settle)
	if err := r.rest(ctx, min(settle, 5*time.Second)); err != nil {
		return err
	}
	if row.PSSBefore, err = r.p.pss(); err != nil {
		return err
	}
	before, err := r.goroutines(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := r.connect(ctx); err != nil {
		return err
	}
	if err := r.allWait(ctx); err != nil {
		return err
	}
	row.Connected = time.Since(start)
	if err := r.rest(ctx, settle-idle); err != nil {
		return err
	}
	cpu0, err := r.p.cpu()
	if err != nil {
		return err
	}
	start = time.Now()
	if err := r.rest(ctx, idle); err != nil {
		return err
	}
	cpu1, err := r.p.cpu()
	if err != nil {
		return err
	}
	row.IdlePercent = 100 * (cpu1 - cpu0).Seconds() / time.Since(start).Seconds()
	if row.PSSAfter, err = r.p.pss(); err != nil {
		return err
	}
	after, err := r.goroutines(ctx)
	row.Goroutines = float64(after-before) / float64(row.Accounts)
	if err != nil {
		return err
	}
	return r.allWait(ctx) // everyone is still there
}

// connect logs the accounts in: a few at a time, as people do.
func (r *matrixRig) connect(ctx context.Context) error {
	if r.x == nil {
		var tokens strings.Builder
		for i := range r.opt.matrixUsers {
			token, _ := r.srv.User(matrixName(i)).Login("")
			tokens.WriteString(token + "\n")
		}
		return writeWhole(r.tokens(), tokens.String())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := range next {
				if err := r.register(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for i := range r.opt.matrixUsers {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// register has the user of an account register it and go online (XEP-0077).
func (r *matrixRig) register(ctx context.Context, i int) error {
	u := r.srv.User(matrixName(i))
	full := matrixName(i) + "@" + userDomain + "/r"
	fields := map[string]string{"user": u.ID, "homeserver": r.srv.URL, "password": u.Password}
	if !r.kind.e2ee {
		delete(fields, "password")
		fields["access_token"], _ = u.Login("")
	}
	var form strings.Builder
	for name, value := range fields {
		fmt.Fprintf(&form, "<field var='%s'><value>%s</value></field>", name, value)
	}
	answer, err := r.x.request(ctx, full, gatewayDomain, "set", "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>"+
		"<field var='FORM_TYPE'><value>jabber:iq:register</value></field>"+form.String()+"</x></query>")
	if err != nil {
		return err
	}
	if !bytes.Contains([]byte(answer), []byte("result")) || bytes.Contains([]byte(answer), []byte("<error")) {
		return fmt.Errorf("account %d is not registered: %.400s", i, answer)
	}
	return r.x.out.write(fmt.Appendf(nil, "<presence from='%s' to='%s'/>", full, gatewayDomain))
}

// allWait waits until a poll of every account waits at the homeserver.
func (r *matrixRig) allWait(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last, at := 0, time.Now()
	for {
		n := r.srv.Waiting()
		if n == r.opt.matrixUsers {
			return nil
		}
		if n != last {
			last, at = n, time.Now()
		}
		if time.Since(at) > max(r.opt.stall, 40*time.Second) { // a poll takes 30 s
			return fmt.Errorf("%d of %d accounts are connected", n, r.opt.matrixUsers)
		}
		select {
		case <-tick.C:
		case <-r.p.exited:
			return errors.New("the process ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *matrixRig) rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.p.exited:
		return errors.New("the process ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// goroutines is how many the process has, by its own word.
func (r *matrixRig) goroutines(ctx context.Context) (int, error) {
	if r.x == nil {
		for {
			b, err := os.ReadFile(r.stats())
			if err == nil {
				return strconv.Atoi(string(b))
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return 0, err
			}
			if err := r.rest(ctx, 20*time.Millisecond); err != nil { // it has just begun
				return 0, err
			}
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.ops+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "go_goroutines "); ok {
			return strconv.Atoi(v)
		}
	}
	return 0, errors.New("the gateway does not say how many goroutines it has")
}
