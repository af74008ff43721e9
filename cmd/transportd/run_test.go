package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"transportd/config"
	"transportd/internal/xmpptest"
)

// program is transportd as a process of its own.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	file string

	lines chan map[string]any // its log, one JSON object a line
	ended chan error
}

// start starts transportd run with the config; its log is JSON.
func start(t *testing.T, file string, args ...string) *program {
	t.Helper()
	p := &program{t: t, file: file, lines: make(chan map[string]any, 1000), ended: make(chan error, 1)}
	args = append([]string{"run", "-c", file, "--log-format", "json", "--set", "ops.listen=127.0.0.1:0"}, args...)
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var read sync.WaitGroup
	read.Go(func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			line := map[string]any{}
			if json.Unmarshal(s.Bytes(), &line) != nil {
				line["msg"] = s.Text()
			}
			p.lines <- line
		}
	})
	go func() { read.Wait(); p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
	})
	return p
}

// logged waits for a log line with this message.
func (p *program) logged(msg string) map[string]any {
	p.t.Helper()
	var seen []string
	patience := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("it ended without %q; it said %q", msg, seen)
			}
			text, _ := line["msg"].(string)
			if text == msg {
				return line
			}
			seen = append(seen, text)
		case <-patience:
			p.t.Fatalf("no %q; it said %q", msg, seen)
		}
	}
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code.
func (p *program) exit() int {
	p.t.Helper()
	for range p.lines { // the log is read to its end
	}
	err := <-p.ended
	p.ended <- err
	return p.cmd.ProcessState.ExitCode()
}

// body asks the ops listener.
func body(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// withServer writes a config for a scripted XMPP server.
func withServer(t *testing.T) (*xmpptest.Server, string) {
	t.Helper()
	srv := xmpptest.NewServer(t, "irc.example.org", "the secret")
	file := initialised(t, "--server", srv.Addr(), "--admin", "admin@example.org")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "irc.secret"), []byte("the secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return srv, file
}

// systemd plays the service manager's end of sd_notify.
func systemd(t *testing.T) (heard func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		buf := make([]byte, 256)
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

// ping waits until the gateway answers.
func ping(c *xmpptest.Conn) {
	c.Send(`<iq type='get' id='ping' from='juliet@example.org/b' to='irc.example.org'><ping xmlns='urn:xmpp:ping'/></iq>`)
	c.Expect(`iq[@type='result'][@id='ping'][@to='juliet@example.org/b']`)
}

func TestLifeOfTheProgram(t *testing.T) {
	heard := systemd(t)
	srv, file := withServer(t)
	p := start(t, file)
	addr, _ := p.logged("metrics and health")["address"].(string)
	if got := heard(); got != "READY=1" {
		t.Errorf("systemd was told %q", got)
	}
	if code, text := body(t, addr, "/readyz"); code != http.StatusServiceUnavailable || !strings.HasPrefix(text, "stream irc: not ready: ") {
		t.Errorf("readyz before the stream is up: %d %q", code, text)
	}
	c := srv.Accept()
	p.logged("XMPP stream up")
	if code, text := body(t, addr, "/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %d %q", code, text)
	}
	ping(c)
	if _, text := body(t, addr, "/metrics"); !strings.Contains(text, `transportd_stream_up{gateway="irc"} 1`) ||
		!strings.Contains(text, `transportd_stanzas_received_total{gateway="irc"} 1`) {
		t.Errorf("metrics:\n%s", text)
	}

	p.signal(syscall.SIGTERM)
	p.logged("transportd ends")
	c.ExpectEnd()
	if got := heard(); got != "STOPPING=1" {
		t.Errorf("systemd was told %q", got)
	}
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestReloadOfTheProgram(t *testing.T) {
	heard := systemd(t)
	srv, file := withServer(t)
	p := start(t, file)
	c := srv.Accept()
	p.logged("XMPP stream up")
	gateway := `<iq type='get' id='%s' from='romeo@example.net/b' to='irc.example.org'><query xmlns='jabber:iq:gateway'/></iq>`
	register := `<iq type='get' id='%s' from='romeo@example.net/b' to='irc.example.org'><query xmlns='jabber:iq:register'/></iq>`
	c.Send(gateway, "0")
	c.Expect(`iq[@type='result'][@id='0']`)
	c.Send(register, "1")
	c.Expect(`iq[@type='error'][@id='1']`)

	// A mistake changes nothing and is told.
	good := `users = ["example.org"]`
	edit(t, file, good, `usres = ["example.net"]`)
	p.signal(syscall.SIGHUP)
	for _, want := range []string{"gateways[irc].users: nobody may use", "gateways[irc].usres: unknown key, did you mean users?"} {
		if line := p.logged("the config was not reloaded"); !strings.Contains(line["problem"].(string), want) {
			t.Errorf("got %v, want %s", line, want)
		}
	}
	c.Send(register, "2")
	c.Expect(`iq[@type='error'][@id='2']`)

	edit(t, file, `usres = ["example.net"]`, `users = ["example.net"]`, `domain = "irc.example.org"`, `domain = "other.example.org"`)
	p.signal(syscall.SIGHUP)
	if line := p.logged("setting changed, it takes effect at the next start"); line["key"] != "gateways[irc].domain" {
		t.Errorf("got %v", line)
	}
	if line := p.logged("setting changed"); line["key"] != "gateways[irc].users" {
		t.Errorf("got %v", line)
	}
	p.logged("config reloaded")
	c.Send(register, "3")
	c.Expect(`iq[@type='result'][@id='3']`)

	states := []string{heard(), heard(), heard(), heard(), heard()}
	if got := strings.Join(states, " "); got != "READY=1 RELOADING=1 READY=1 RELOADING=1 READY=1" {
		t.Errorf("systemd was told %q", got)
	}
	p.signal(syscall.SIGINT)
	c.ExpectEnd()
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestASecretThatChangesIsUsedAtTheNextConnection(t *testing.T) {
	srv, file := withServer(t)
	p := start(t, file)
	c := srv.Accept()
	p.logged("XMPP stream up")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "irc.secret"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Close()
	again := srv.AcceptRaw()
	again.Header()
	again.SendHeader()
	if again.HandshakeOK() {
		t.Error("the old secret was used")
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestAServerThatNeverAnswersDoesNotHoldUpTheEnd(t *testing.T) {
	srv, file := withServer(t)
	p := start(t, file)
	c := srv.Accept()
	p.logged("XMPP stream up")
	c.Stall()
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the end took %v, 10 s are promised", took)
	}
}

func TestTwoProgramsOnOneDatabase(t *testing.T) {
	srv, file := withServer(t)
	p := start(t, file)
	srv.Accept()
	p.logged("XMPP stream up")
	code, _, stderr := cli(t, "run", "-c", file, "--set", "ops.listen=127.0.0.1:0")
	if code != exitFailure || !strings.Contains(stderr, "in use by another transportd") {
		t.Errorf("%d %q", code, stderr)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestRunInThisProcess(t *testing.T) {
	srv, file := withServer(t)
	c, err := config.Load(config.Options{File: file, Drivers: driverNames(), Set: map[string]string{"ops.listen": ""}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c, slog.New(slog.DiscardHandler)) }()
	conn := srv.Accept()
	ping(conn)
	cancel()
	conn.ExpectEnd()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// A second run over the same database: everything was let go.
	ctx, cancel = context.WithCancel(t.Context())
	go func() { ended <- run(ctx, c, slog.New(slog.DiscardHandler)) }()
	ping(srv.Accept())
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLoggingChangesWhileRunning(t *testing.T) {
	var out bytes.Buffer
	l := newLogging(&out, config.Log{Level: "warn", Format: "text"})
	derived := l.log.With("gateway", "irc").WithGroup("g")
	derived.Info("one", "k", 1)
	derived.Warn("two", "k", 2)
	l.set(config.Log{Level: "debug", Format: "json"})
	derived.Debug("three", "k", 3)
	text := out.String()
	if strings.Contains(text, "one") || !strings.Contains(text, "msg=two gateway=irc g.k=2") ||
		!strings.Contains(text, `"msg":"three","gateway":"irc","g":{"k":3}`) {
		t.Errorf("got %s", text)
	}
}

// "off" is no limit, for registrations too, whose defaults stand for zero.
func TestRatesThatAreOff(t *testing.T) {
	l := registrationLimits(config.Rates{RegistrationsUser: config.Rate{Count: 6, Per: time.Minute}})
	if l.UserEvery != 10*time.Second || l.UserBurst != 6 || l.DomainEvery >= 0 {
		t.Errorf("got %+v", l)
	}
}
