package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"transportd/internal/irctest"
	"transportd/internal/xmpptest"
)

// spokenIn asks for all of a room's archive and returns its lines.
func spokenIn(t *testing.T, stream *xmpptest.Conn, client, room string) (lines []spoken) {
	t.Helper()
	for after := ""; ; {
		stream.Send(`<iq type='set' id='mam' from='%s' to='%s'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>250</max>%s</set></query></iq>`, client, room, after)
		fin, before := stream.Until("iq[@id='mam']")
		for _, n := range before {
			if body, r := n.Find("message/result/forwarded/message/body"), n.Find("message/result"); body != nil && r != nil {
				lines = append(lines, spoken{r.Attr("id"), body.Text})
			}
		}
		end := fin.Find("iq/fin")
		if end == nil {
			t.Fatalf("the archive says %s", fin)
		}
		if end.Attr("complete") == "true" {
			return lines
		}
		after = "<after>" + fin.Find("iq/fin/set/last").Text + "</after>"
	}
}

// hears waits for a line of romeo's in the room and returns it as shown.
func (w *world) hears(body string) spoken {
	w.t.Helper()
	n, _ := w.stream.Until(fmt.Sprintf("message[@type='groupchat'][@from='%s/romeo'][@to='%s']/body[text()='%s']", room, balcony, body))
	return spoken{n.Find("message/stanza-id").Attr("id"), body}
}

// Lines that are said while the database cannot be used are in the archive
// afterwards, under the ids they were shown with, however the program ends meanwhile.
func TestScenarioLinesWhileTheDatabaseCannotBeUsed(t *testing.T) {
	for name, prepare := range outages(t) {
		for _, end := range []syscall.Signal{0, syscall.SIGTERM, syscall.SIGKILL} {
			t.Run(fmt.Sprintf("%s, %v", name, end), func(t *testing.T) {
				o := prepare(t)
				w := newWorld(t, irctest.Config{})
				romeo := w.irc.Puppet("romeo")
				romeo.Do("JOIN #verona")
				w.join(balcony, "juliet")
				var shown []spoken
				say := func(body string) {
					romeo.Do("PRIVMSG #verona :" + body)
					shown = append(shown, w.hears(body))
				}
				say("before")
				w.stored()
				spokenIn(t, w.stream, balcony, room)
				o.begin(w)
				for i := range 20 {
					say(fmt.Sprint("meanwhile ", i))
				}
				w.stream.Send(`<iq type='set' id='mam' from='%s' to='%s'><query xmlns='urn:xmpp:mam:2'/></iq>`, balcony, room)
				w.stream.Until("iq[@type='error'][@id='mam']/error[@type='wait']")
				if end != 0 {
					w.program.signal(end)
					if code := w.program.exit(); end == syscall.SIGTERM && code == -1 {
						t.Error("it did not end by itself")
					}
					w.irc.WaitGone(t, "juliet")
				}
				o.end(w)
				if end != 0 {
					w.begin()
				} else if o.logged != "" {
					w.program.logged(o.logged)
				}
				if end == 0 {
					w.program.logged("lines can be stored again")
				}
				if got := spokenIn(t, w.stream, balcony, room); !slices.Equal(got, shown) {
					t.Errorf("the archive has\n%v, shown were\n%v", got, shown)
				}
				w.end()
			})
		}
	}
}

// A journal for which there is no room, or that may not be written, is named, and
// nothing half made is in the way of the next start.
func TestTheJournalCannotBeMade(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may mount a disk that is too small")
	}
	_, file := withServer(t)
	dir := t.TempDir()
	mount := func(flags uintptr, size string) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, size); err != nil {
			t.Fatal(err)
		}
	}
	mount(0, "size=8m")
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	journal := filepath.Join(dir, "transportd.journal")
	t.Setenv("TRANSPORTD_STORE_KEY_FILE", filepath.Join(dir, "transportd.key"))
	fails := func(why string) {
		t.Helper()
		p := start(t, file)
		var said []string
		for line := range p.lines {
			said = append(said, fmt.Sprint(line["err"], line["error"], line["msg"]))
		}
		all := strings.Join(said, "\n")
		if code := p.exit(); code == exitOK || !strings.Contains(all, journal) || !strings.Contains(all, why) {
			t.Errorf("it ends with %d and says\n%s", code, all)
		}
	}
	fails("no space left on device")
	fails("no space left on device") // what is left of the first attempt says the same
	mount(syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=64m")
	fails("read-only file system")
	mount(syscall.MS_REMOUNT, "size=64m")
	p := start(t, file)
	p.logged("metrics and health")
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK {
		t.Errorf("with room it ends with %d", code)
	}
	if info, err := os.Stat(journal); err != nil || info.Size() != 32<<20 {
		t.Errorf("the journal: %v, %v", info, err)
	}
}

// Two gateways of one program keep rooms of the same name apart, for the same users.
func TestScenarioTwoGatewaysOneArchive(t *testing.T) {
	w := newStopped(t, irctest.Config{})
	second := irctest.Start(t, irctest.Config{})
	other := xmpptest.NewServer(t, "chat.example.org", "the secret")
	edit(t, w.file, "[[gateways]]\n", fmt.Sprintf(`[[gateways]]
name = "second"
domain = "chat.example.org"
driver = "irc"
server = %q
secret_file = "irc.secret"
users = ["example.org"]

[gateways.irc]
open = true

[[gateways.irc.networks]]
name = "net"
hosts = [%q]
ports = ["%d"]
plain = true
allow_private = true

[[gateways]]
`, other.Addr(), second.Host(), second.Port()))
	w.program = start(t, w.file)
	w.stream = w.xmpp.Accept()
	chat := other.Accept()
	const elsewhere = "#verona%net@chat.example.org"
	romeo, paris := w.irc.Puppet("romeo"), second.Puppet("romeo")
	romeo.Do("JOIN #verona")
	paris.Do("JOIN #verona")
	w.join(balcony, "juliet")
	chat.Send(`<presence from='%s' to='%s/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, balcony, elsewhere)
	chat.Until(fmt.Sprintf("message[@type='groupchat'][@to='%s']/subject", balcony))
	var here, there []spoken
	for i := range 5 {
		body := fmt.Sprint("line ", i)
		romeo.Do("PRIVMSG #verona :" + body)
		here = append(here, w.hears(body))
		paris.Do("PRIVMSG #verona :" + body)
		n, _ := chat.Until(fmt.Sprintf("message[@type='groupchat'][@from='%s/romeo']/body[text()='%s']", elsewhere, body))
		there = append(there, spoken{n.Find("message/stanza-id").Attr("id"), body})
	}
	if got := spokenIn(t, w.stream, balcony, room); !slices.Equal(got, here) {
		t.Errorf("one archive has %v, shown were %v", got, here)
	}
	if got := spokenIn(t, chat, balcony, elsewhere); !slices.Equal(got, there) {
		t.Errorf("the other has %v, shown were %v", got, there)
	}
	// An id of one is none of the other's.
	chat.Send(`<iq type='set' id='q' from='%s' to='%s'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>
		<field var='ids'><value>%s</value></field></x></query></iq>`, balcony, elsewhere, here[0].id)
	chat.Until("iq[@type='error'][@id='q']/error/item-not-found")
	// A kill closes the visits of both, and one gateway's do not wait for the other's.
	w.program.signal(syscall.SIGKILL)
	w.program.exit()
	w.irc.WaitGone(t, "juliet")
	second.WaitGone(t, "juliet")
	romeo.Do("PRIVMSG #verona :nobody hears it")
	w.program = start(t, w.file)
	w.stream, chat = w.xmpp.Accept(), other.Accept()
	if got := spokenIn(t, w.stream, balcony, room); !slices.Equal(got, here) {
		t.Errorf("after a kill one archive has %v, shown were %v", got, here)
	}
	if got := spokenIn(t, chat, balcony, elsewhere); !slices.Equal(got, there) {
		t.Errorf("after a kill the other has %v, shown were %v", got, there)
	}
	w.program.signal(syscall.SIGTERM)
	if code := w.program.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A PostgreSQL server that is killed again and again while people talk costs the
// archive nothing, although it forgets its last moment each time.
func TestScenarioPostgresIsKilledAgainAndAgain(t *testing.T) {
	o := outages(t)["the server is gone"](t)
	w := newWorld(t, irctest.Config{})
	romeo := w.irc.Puppet("romeo")
	romeo.Do("JOIN #verona")
	w.join(balcony, "juliet")
	var shown []spoken
	for round := range 8 {
		for i := range 60 {
			body := fmt.Sprintf("line %d of %d", i, round)
			romeo.Do("PRIVMSG #verona :" + body)
			shown = append(shown, w.hears(body))
			if i == 7*round%50 {
				o.begin(w)
			}
		}
		o.end(w)
		w.program.logged(o.logged)
	}
	romeo.Do("PRIVMSG #verona :the last")
	shown = append(shown, w.hears("the last"))
	for { // the database is there again, and the program finds that out by itself
		w.stream.Send(`<iq type='get' id='meta' from='%s' to='%s'><metadata xmlns='urn:xmpp:mam:2'/></iq>`, balcony, room)
		if n, _ := w.stream.Until("iq[@id='meta']"); n.Attr("type") == "result" {
			break
		}
	}
	if got := spokenIn(t, w.stream, balcony, room); !slices.Equal(got, shown) {
		missing := slices.DeleteFunc(slices.Clone(shown), func(s spoken) bool { return slices.Contains(got, s) })
		t.Errorf("the archive has %d lines, shown were %d; missing are %v", len(got), len(shown), missing)
	}
	w.end()
}

// Whenever the program is killed while it starts for the first time, the next start
// goes on from there.
func TestKilledWhileStarting(t *testing.T) {
	_, file := withServer(t)
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 15 {
		dir := t.TempDir()
		t.Setenv("TRANSPORTD_STORE_KEY_FILE", filepath.Join(dir, "transportd.key"))
		t.Setenv("TRANSPORTD_STORE_PATH", filepath.Join(dir, "transportd.db"))
		for range 1 + r.IntN(3) {
			p := start(t, file)
			time.Sleep(time.Duration(r.IntN(150_000)) * time.Microsecond) // the moment is left to chance
			p.signal(syscall.SIGKILL)
			p.exit()
		}
		p := start(t, file)
		p.logged("metrics and health")
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != exitOK {
			t.Fatalf("round %d: it ends with %d", round, code)
		}
	}
}
