package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// long bounds what real programs may take on a busy machine.
const long = time.Minute

func newEnv(t *testing.T) (*Env, context.Context) {
	t.Helper()
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeoutCause(t.Context(), long, errors.New("it took too long"))
	t.Cleanup(cancel)
	return e, ctx
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestXMPPServers(t *testing.T) {
	for name, start := range map[string]func(*Env, context.Context, XMPPOptions) (*XMPPServer, error){
		"prosody": (*Env).StartProsody, "ejabberd": (*Env).StartEjabberd,
	} {
		t.Run(name, func(t *testing.T) {
			e, ctx := newEnv(t)
			s := must[*XMPPServer](t)(start(e, ctx, XMPPOptions{Components: []string{"irc.localhost"}, Users: []string{"alice"}}))
			try(t, s.AddUsers(ctx, "bob"))
			clients := must[*XMPPClients](t)(e.StartXMPPClients())
			alice := must[*XMPPClient](t)(clients.Connect(ctx, s, "alice", "phone"))
			bob := must[*XMPPClient](t)(clients.Connect(ctx, s, "bob", "desk"))

			try(t, alice.Send(`<message to='%s' type='chat' id='m1'><body>%s</body></message>`, bob.JID, "5 < 6 & 'so'"))
			got := must[Stanza](t)(bob.Expect(ctx, Message(ID("m1"), Body("5 < 6 & 'so'"), From(alice.JID))))
			if got.Seq == 0 || got.At.IsZero() {
				t.Errorf("the stanza has no number or time: %+v", got)
			}

			// Nobody serves the component's domain yet, and the sender is told.
			reply := must[Stanza](t)(alice.Request(ctx, "get", "irc.localhost", `<ping xmlns='urn:xmpp:ping'/>`))
			if reply.Attr("type") != "error" {
				t.Errorf("a component that is not connected answered: %s", reply)
			}

			s.Kill9()
			try(t, alice.AwaitDown(ctx))
			try(t, s.Start(ctx))
			try(t, alice.Reconnect(ctx))
			try(t, bob.AwaitDown(ctx))
			try(t, bob.Reconnect(ctx))
			try(t, bob.Send(`<message to='%s' type='chat' id='m2'><body>again</body></message>`, alice.JID))
			must[Stanza](t)(alice.Expect(ctx, Message(ID("m2"), Body("again"))))

			if _, err := clients.Connect(ctx, s, "nobody-such", "x"); err == nil {
				t.Error("a login without an account succeeded")
			}
		})
	}
}

func TestIRCServers(t *testing.T) {
	for name, start := range map[string]func(*Env, context.Context) (*IRCServer, error){
		"ngircd": (*Env).StartNgIRCd, "inspircd": (*Env).StartInspIRCd,
	} {
		t.Run(name, func(t *testing.T) {
			e, ctx := newEnv(t)
			s := must[*IRCServer](t)(start(e, ctx))
			anna := must[*IRCClient](t)(DialIRC(ctx, s.Address(), "anna"))
			ben := must[*IRCClient](t)(DialIRC(ctx, s.Address(), "ben"))
			try(t, anna.Join(ctx, "#garden"))
			try(t, ben.Join(ctx, "#garden"))
			must[string](t)(anna.Expect(ctx, `^:ben!\S+ JOIN :?#garden`))
			ben.Send("PRIVMSG #garden :hello")
			must[string](t)(anna.Expect(ctx, `^:ben!\S+ PRIVMSG #garden :hello`))
			try(t, anna.Fence(ctx))
			if line, seen := anna.Seen("PRIVMSG"); seen {
				t.Errorf("seen again: %s", line)
			}
			conn := must[net.Conn](t)(net.Dial("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.TLS))))
			conn.Close()
			if s.Services != nil {
				anna.Send("PRIVMSG NickServ :REGISTER secret anna@example.org")
				must[string](t)(anna.Expect(ctx, `^:NickServ!\S+ NOTICE anna :.*registered`))
			}
			try(t, s.Restart(ctx))
			if _, err := anna.Expect(ctx, "no such line"); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the killed server's client was told %v", err)
			}
			must[*IRCClient](t)(DialIRC(ctx, s.Address(), "anna"))
		})
	}
}

// A port that somebody took after it was picked costs another try, not the test.
func TestPortTaken(t *testing.T) {
	e, ctx := newEnv(t)
	bin := must[string](t)(program("ngircd", "ngircd"))
	var thief net.Listener
	tries := 0
	s, err := e.launch(ctx, "ngircd", 2, func(dir string, ports []int) (func() *exec.Cmd, error) {
		if tries++; tries == 1 {
			l, err := net.Listen("tcp", Address(ports[0]))
			if err != nil {
				return nil, err
			}
			thief = l
		}
		c, err := e.ircConfig(dir, Host, ports)
		if err != nil {
			return nil, err
		}
		c.Name, c.Listen = "ngircd.test", Host
		conf, err := e.render(ngircdConfig, dir, "ngircd.conf", c)
		return func() *exec.Cmd { return exec.Command(bin, "--nodaemon", "--config", conf) }, err
	})
	try(t, err)
	defer thief.Close()
	if tries != 2 {
		t.Errorf("%d tries, want 2", tries)
	}
	must[*IRCClient](t)(DialIRC(ctx, Address(s.ports[0]), "anna"))
}

func TestMissingProgram(t *testing.T) {
	_, err := program("no-such-program", "no-such-package")
	if err == nil || !strings.Contains(err.Error(), "scripts/install-deps.sh") {
		t.Errorf("the error does not say what to do: %v", err)
	}
}

// TestMain can be the program that TestOrphans kills.
func TestMain(m *testing.M) {
	if os.Getenv("TESTENV_VICTIM") == "" {
		os.Exit(m.Run())
	}
	e, err := New()
	if err == nil {
		var s *IRCServer
		if s, err = e.StartNgIRCd(context.Background()); err == nil {
			fmt.Println(s.Process().PID(), e.Dir())
			select {}
		}
	}
	fmt.Println("0", err)
	os.Exit(1)
}

// A test program that is killed takes its servers with it.
func TestOrphans(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "TESTENV_VICTIM=1")
	out := must[interface{ Read([]byte) (int, error) }](t)(cmd.StdoutPipe())
	try(t, cmd.Start())
	var pid int
	var dir string
	if _, err := fmt.Fscan(out, &pid, &dir); err != nil || pid == 0 {
		t.Fatalf("the victim did not start: %v %s", err, dir)
	}
	defer os.RemoveAll(dir)
	try(t, cmd.Process.Kill())
	_ = cmd.Wait()
	deadline := time.Now().Add(long)
	for alive(pid) {
		if time.Now().After(deadline) {
			t.Fatal("the server outlived the program that started it")
		}
		time.Sleep(poll)
	}
}

// alive: a process that only waits to be collected by its parent is not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
