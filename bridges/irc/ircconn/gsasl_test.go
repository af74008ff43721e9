package ircconn

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"transportd/internal/irctest"
)

// gsasl is GNU SASL as a server: it reads and writes a base64 message a line.
type gsasl struct {
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

func startGSASL(t *testing.T, account, password string) *gsasl {
	t.Helper()
	path, err := exec.LookPath("gsasl")
	if err != nil {
		t.Fatalf("gsasl is needed (scripts/install-deps.sh test): %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, "--server", "--quiet", "--no-client-first", "--mechanism="+ScramSHA256,
		"--authentication-id="+account, "--password="+password, "--service=irc", "--hostname=irc.test", "--realm=irc.test")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := &gsasl{in: in, out: bufio.NewScanner(out), cmd: cmd}
	if line := g.line(); line != ScramSHA256 {
		t.Fatalf("gsasl began with %q", line)
	}
	g.line() // what it would say first
	return g
}

func (g *gsasl) line() string {
	g.out.Scan()
	return g.out.Text()
}

// step hands over a message of the client's and returns the answer.
func (g *gsasl) step(message string) string {
	_, _ = io.WriteString(g.in, message+"\n") // its end shows when it is read from
	return g.line()
}

// end waits until gsasl is gone.
func (g *gsasl) end() {
	_ = g.in.Close()
	_ = g.cmd.Wait() // it wants to hear more after the login, and complains
}

// TestScramWithGNUSASL: our side of SCRAM-SHA-256 is understood by an implementation
// that has nothing in common with it, and understands that one.
func TestScramWithGNUSASL(t *testing.T) {
	const password = "s3cret, with = and ü"
	for _, tc := range []struct {
		name, account, password string
		fails                   bool
	}{
		{name: "right", account: "alice", password: password},
		{name: "account with , and =", account: "al,i=ce", password: password},
		{name: "wrong password", account: "alice", password: "wrong", fails: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := irctest.Start(t, irctest.Config{Accounts: map[string]string{"alice": password}})
			g := startGSASL(t, tc.account, password)
			defer g.end()
			steps, proved := 0, false
			s.Hook("AUTHENTICATE", func(c *irctest.Client, m irctest.Msg) bool {
				switch steps++; steps {
				case 1: // the mechanism
					c.Send("AUTHENTICATE +")
				case 2: // who it is
					c.Send("AUTHENTICATE %s", g.step(m.Param(0)))
				case 3: // the proof
					answer := g.step(m.Param(0)) // nothing, unless it holds
					if answer == "" {
						c.Numeric("904", "SASL authentication failed")
						return true
					}
					c.Send("AUTHENTICATE %s", answer)
				case 4: // the server's proof holds, or "*" comes
					if proved = m.Param(0) == "+"; !proved {
						c.Numeric("906", "SASL authentication aborted")
						return true
					}
					c.Numeric("900", "alice!a@b", tc.account, "You are now logged in")
					c.Numeric("903", "SASL authentication successful")
				}
				return true
			})
			o := options(s)
			o.SASL = &SASL{Account: tc.account, Password: tc.password, Mechanisms: []string{ScramSHA256}}
			c := dial(t, o)
			account, why := c.Login()
			switch {
			case tc.fails && (account != "" || why == nil || proved):
				t.Errorf("logged in as %q with a wrong password (%v)", account, why)
			case !tc.fails && (account != tc.account || !proved):
				t.Errorf("account %q, %v after %d steps; last words of gsasl: %q", account, why, steps, strings.TrimSpace(g.out.Text()))
			}
		})
	}
}
