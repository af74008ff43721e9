package irc

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"transportd/bridges"
	"transportd/internal/irctest"
)

// kindNames are how docs/irc.md calls the kinds of error.
var kindNames = map[bridges.ErrorKind]string{
	bridges.NotFound: "not found", bridges.Invalid: "invalid", bridges.TooLarge: "too large",
	bridges.Unsupported: "unsupported", bridges.Forbidden: "forbidden", bridges.IsBanned: "banned",
	bridges.MembersOnly: "members only", bridges.PasswordRequired: "password required", bridges.RoomFull: "room full",
	bridges.Conflict: "conflict", bridges.NickLocked: "nick locked", bridges.NotJoined: "not joined",
	bridges.TooManyRooms: "too many rooms", bridges.BadCredentials: "bad credentials",
	bridges.NeedsAccount: "account needed", bridges.RateLimited: "slower", bridges.TemporaryRefuse: "try later",
}

var actionNames = []struct {
	act  action
	name string
}{
	{actJoin, "join"}, {actLeave, "leave"}, {actSend, "message"}, {actTopic, "subject"}, {actNick, "nick"},
	{actInvite, "invite"}, {actKick, "kick"}, {actMode, "role, affiliation"},
	{actWhois, "look-up"}, {actList, "directory"}, {actProbe, "probe"},
}

// docRow is how docs/irc.md shows a numeric.
func docRow(e numericError) string {
	var acts []string
	for _, a := range actionNames {
		if e.answers&a.act != 0 {
			acts = append(acts, a.name)
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s |", e.code, e.meaning, strings.Join(acts, ", "), kindNames[e.kind])
}

// The table people read and the table the program uses are the same.
func TestNumericsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/irc.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range numericErrors {
		if kindNames[e.kind] == "" || e.answers == 0 || e.meaning == "" {
			t.Errorf("%s is not complete", e.code)
		}
		want = append(want, docRow(e))
	}
	_, rest, _ := strings.Cut(string(doc), "<!-- numerics -->\n")
	table, _, _ := strings.Cut(rest, "\n<!-- end -->")
	got := strings.Split(strings.TrimSpace(table), "\n")
	if len(got) < 2 {
		t.Fatal("docs/irc.md has no table of numerics")
	}
	if got := strings.Join(got[2:], "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the table in docs/irc.md is not this one:\n%s", strings.Join(want, "\n"))
	}
}

// Every setting and its key is in docs/irc.md.
func TestSettingsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/irc.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range settingKeys(t) {
		if !strings.Contains(string(doc), "`"+key+"`") {
			t.Errorf("docs/irc.md does not tell of %s", key)
		}
	}
	for _, f := range append(userFields, bridges.Field{Name: setPorts}) {
		if !strings.Contains(string(doc), "`"+f.Name+"`") {
			t.Errorf("docs/irc.md does not tell of the field %s", f.Name)
		}
	}
}

// refusedActions do each action of the table on #room, carol or alone, and name the
// parameters a server puts into the refusal of it.
var refusedActions = []struct {
	act     action
	command string
	params  []string
	do      func(w *world, ref bridges.Ref) error
}{
	{actJoin, "JOIN", []string{"#new"}, func(w *world, r bridges.Ref) error { return w.net.Join(r, "#new", bridges.JoinOptions{}) }},
	{actLeave, "PART", []string{"#room"}, func(w *world, r bridges.Ref) error { return w.net.Leave(r, "#room", "") }},
	{actSend, "PRIVMSG", []string{"#room"}, func(w *world, r bridges.Ref) error {
		return w.net.Send(r, bridges.Place{Room: "#room"}, bridges.Outgoing{Body: "hello"})
	}},
	{actSend, "PRIVMSG", []string{"carol"}, func(w *world, r bridges.Ref) error {
		return w.net.Send(r, bridges.Place{User: "carol"}, bridges.Outgoing{Body: "hello"})
	}},
	{actTopic, "TOPIC", []string{"#room"}, func(w *world, r bridges.Ref) error { return w.net.SetSubject(r, "#room", "new") }},
	{actNick, "NICK", []string{"newnick"}, func(w *world, r bridges.Ref) error { return w.net.Rename(r, "newnick") }},
	{actInvite, "INVITE", []string{"carol", "#room"}, func(w *world, r bridges.Ref) error { return w.net.Invite(r, "#room", "carol", "") }},
	{actKick, "KICK", []string{"carol", "#room"}, func(w *world, r bridges.Ref) error {
		return w.net.SetRole(r, "#room", "carol", bridges.RoleNone, "")
	}},
	{actMode, "MODE", []string{"#room", "v"}, func(w *world, r bridges.Ref) error {
		return w.net.SetAffiliation(r, "#room", "carol", bridges.AffiliationMember, "")
	}},
	{actWhois, "WHOIS", []string{"carol"}, func(w *world, _ bridges.Ref) error {
		_, err := w.net.Profile(context.Background(), "carol")
		return err
	}},
	{actList, "LIST", nil, func(w *world, _ bridges.Ref) error {
		_, err := w.net.Rooms(context.Background())
		return err
	}},
	{actProbe, "PRIVMSG", []string{"carol"}, func(w *world, _ bridges.Ref) error {
		_, err := w.net.Probe(context.Background(), "carol", bridges.ProbeTime)
		return err
	}},
}

// Every numeric of the table reaches whoever caused it, as the kind it stands for and
// with the server's words, whether or not the server answers with labels.
func TestEveryNumericReachesItsCause(t *testing.T) {
	for name, cfg := range map[string]irctest.Config{"old server": {NoCap: true}, "modern server": {}} {
		t.Run(name, func(t *testing.T) {
			var refusal atomic.Pointer[[]string] // the command, then the numeric and its parameters
			w := open(t, setup{server: cfg, hooks: func(s *irctest.Server) {
				for _, command := range []string{"JOIN", "PART", "PRIVMSG", "TOPIC", "NICK", "INVITE", "KICK", "MODE", "WHOIS", "LIST"} {
					s.Hook(command, func(c *irctest.Client, m irctest.Msg) bool {
						r := refusal.Load()
						if r == nil || (*r)[0] != command || c.Nick() != "alice" {
							return false
						}
						c.Numeric((*r)[1], (*r)[2:]...)
						return true
					})
				}
			}})
			w.srv.Puppet("carol").Do("JOIN #room")
			w.join("#room")
			done := map[action]bool{}
			for _, row := range numericErrors {
				// Of two rows with one number, that which the parameters fit is meant.
				for _, a := range refusedActions {
					if row.answers&a.act == 0 {
						continue
					}
					done[a.act] = true
					words := fmt.Sprintf("No, because of %s %s", row.code, a.command)
					params := a.params
					if row.bare {
						params = nil
					}
					line := append(append([]string{a.command, row.code}, params...), words)
					refusal.Store(&line)
					ref := w.nextRef()
					err := bridges.AsError(a.do(w, ref))
					if a.act&actQuery == 0 {
						if err != nil {
							t.Fatalf("%s %s: %v", row.code, a.command, err)
						}
						err = w.failed(ref)
					}
					if err == nil || err.Kind != row.kind || err.Text != words {
						t.Errorf("%s %v: %+v, want %s", row.code, a.params, err, kindNames[row.kind])
					}
				}
			}
			for _, a := range actionNames {
				if !done[a.act] {
					t.Errorf("%s was not tried", a.name)
				}
			}
		})
	}
}

// An error that names a command is not about another one that is under way.
func TestErrorNamesItsCommand(t *testing.T) {
	listing := make(chan *irctest.Client, 1)
	w := open(t, setup{server: irctest.Config{NoCap: true}, hooks: func(s *irctest.Server) {
		s.Hook("LIST", func(c *irctest.Client, _ irctest.Msg) bool { listing <- c; return true })
		s.Hook("INVITE", func(c *irctest.Client, _ irctest.Msg) bool {
			c.Numeric("421", "INVITE", "Unknown command")
			return true
		})
	}})
	w.srv.Puppet("carol")
	w.join("#room")
	done := make(chan error, 1)
	go func() { _, err := w.net.Rooms(context.Background()); done <- err }()
	server := <-listing
	ref := w.nextRef()
	w.ok(w.net.Invite(ref, "#room", "carol", ""))
	if err := w.failed(ref); err.Kind != bridges.Unsupported || err.Text != "Unknown command" {
		t.Errorf("invitation: %+v", err)
	}
	server.Numeric("323", "End of /LIST")
	if err := <-done; err != nil {
		t.Errorf("the list failed with it: %v", err)
	}
}

// An error about a person is that of the older line, unless it speaks of CTCP.
func TestErrorOfMessageBeforeProbe(t *testing.T) {
	lines := make(chan *irctest.Client, 2)
	w := open(t, setup{server: irctest.Config{NoCap: true}, hooks: func(s *irctest.Server) {
		s.Hook("PRIVMSG", func(c *irctest.Client, _ irctest.Msg) bool { lines <- c; return true })
	}})
	w.srv.Puppet("carol")
	w.fence()
	w.srv.Hook("PING", func(*irctest.Client, irctest.Msg) bool { return true }) // no outcome by itself
	for _, words := range [][2]string{{"No such person", "No such person"}, {"You cannot send CTCPs to this user", "no such person"}} {
		ref := w.nextRef()
		w.ok(w.net.Send(ref, bridges.Place{User: "carol"}, bridges.Outgoing{Body: "hello"}))
		<-lines
		done := make(chan error, 1)
		go func() { _, err := w.net.Probe(context.Background(), "carol", bridges.ProbeVersion); done <- err }()
		server := <-lines
		server.Numeric("531", "carol", words[0])
		server.Numeric("531", "carol", words[1])
		message, probe := w.failed(ref).Text, bridges.AsError(<-done).Text
		if ctcp := strings.Contains(words[0], "CTCP"); ctcp && (probe != words[0] || message != words[1]) || !ctcp && (probe != words[1] || message != words[0]) {
			t.Errorf("%q: message %q, probe %q", words, message, probe)
		}
	}
}
