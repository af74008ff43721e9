package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"transportd/archive"
	"transportd/internal/irctest"
	"transportd/internal/xmpptest"
	"transportd/store"
)

// kills is how often the program is killed.
const kills = 200

// spoken is a line as a client was shown it.
type spoken struct{ id, body string }

// killing is a conversation during which the program is killed again and again.
type killing struct {
	*world
	rnd   *rand.Rand
	romeo *irctest.Client
	shown []spoken       // in order; a line that is shown again is there once
	seen  map[string]int // where, by body
	said  int
	in    bool // juliet is in the room
}

// take looks at a stanza of the program's and answers what a server and its
// client would.
func (k *killing) take(n *xmpptest.Node) {
	switch n.Name.Local {
	case "iq":
		switch from, to := n.Attr("from"), n.Attr("to"); {
		case n.Attr("type") != "get":
		case to == from: // to itself, through us
			k.stream.Send("%s", n.String())
		default: // is the client there?
			k.stream.Send("<iq type='result' id='%s' from='%s' to='%s'/>", n.Attr("id"), to, from)
		}
	case "presence":
		if ok, _ := n.Match("presence/x/status[@code='110']"); ok && n.Attr("type") == "" {
			k.in = true
		}
	case "message":
		body, subject, id := n.Find("message/body"), n.Find("message/subject"), n.Find("message/stanza-id")
		var line spoken
		switch {
		case n.Attr("type") != "groupchat" || body == nil && subject == nil:
			return
		case body == nil && id == nil:
			return // the subject that was there on entering
		case id == nil:
			k.t.Errorf("a line without a stanza-id: %s", n)
			return
		case body == nil:
			line = spoken{id.Attr("id"), "<subject>" + subject.Text + "</subject>"}
		default:
			line = spoken{id.Attr("id"), body.Text}
		}
		if at, again := k.seen[line.body]; again {
			if k.shown[at] != line {
				k.t.Errorf("%q was %s and is now %s", line.body, k.shown[at].id, line.id)
			}
			return
		}
		k.seen[line.body] = len(k.shown)
		k.shown = append(k.shown, line)
	}
}

// until takes stanzas until done says so, for some seconds at most.
func (k *killing) until(what string, done func() bool) {
	k.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); {
		n, ok := k.stream.TryNext(time.Until(deadline))
		if !ok {
			k.t.Fatalf("there was no %s", what)
		}
		k.take(n)
	}
}

// round starts the program, has people talk on both sides, and kills it.
func (k *killing) round(i int) {
	k.begin()
	k.in = false
	if i == 0 || k.rnd.IntN(2) == 0 { // else the program finds the client by itself
		k.stream.Send(`<presence from='%s' to='%s/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, balcony, room)
	}
	k.until("self-presence", func() bool { return k.in })
	if i == 0 {
		k.stored() // that the client is in: that is written after it is shown
	}

	var talk sync.WaitGroup
	stop := make(chan struct{})
	first := k.said
	lines := 20 + k.rnd.IntN(400)
	k.said += 2 * lines
	talk.Go(func() {
		for n := range lines {
			select {
			case <-stop:
				return
			default:
			}
			k.romeo.Do(fmt.Sprintf("PRIVMSG #verona :line %d", first+n))
			if n%20 == 10 {
				k.romeo.Do(fmt.Sprintf("TOPIC #verona :subject %d", first+n))
			}
			if n%50 == 0 {
				k.stream.Send(`<message type='groupchat' id='own%d' from='%s' to='%s'><body>own line %d</body></message>`, first+n, balcony, room, first+n)
			}
		}
	})
	end := time.Now().Add(time.Duration(k.rnd.IntN(30_000)) * time.Microsecond)
	for {
		n, ok := k.stream.TryNext(time.Until(end))
		if !ok {
			break
		}
		k.take(n)
		if time.Now().After(end) {
			break
		}
	}
	k.program.signal(syscall.SIGKILL)
	close(stop)
	talk.Wait()
	k.program.exit()
	for { // what it had written is still on its way
		n, ok := k.stream.TryNext(10 * time.Second)
		if !ok {
			break
		}
		k.take(n)
	}
	k.irc.WaitGone(k.t, "juliet")
}

// Whenever the program is killed, the archive has every line that was shown, once,
// in the order it was shown, under the id it was shown with.
func TestKilledAtAnyMoment(t *testing.T) {
	w := newStopped(t, irctest.Config{})
	seed := rand.Uint64()
	t.Log("seed", seed)
	k := &killing{world: w, rnd: rand.New(rand.NewPCG(seed, 0)), romeo: w.irc.Puppet("romeo"), seen: map[string]int{}}
	k.romeo.Do("JOIN #verona")
	for i := range kills {
		if k.round(i); t.Failed() {
			t.Fatalf("after kill %d", i+1)
		}
	}
	k.begin() // whatever is left in the journal is stored
	k.until("self-presence", func() bool { return k.in })
	k.end()
	if len(k.shown) < 10*kills {
		t.Errorf("only %d lines were shown", len(k.shown))
	}
	k.compare()
}

// compare reads the whole archive.
func (k *killing) compare() {
	dir := filepath.Dir(k.file)
	db, err := store.Open(context.Background(), store.Options{Path: filepath.Join(dir, "transportd.db"), KeyFile: filepath.Join(dir, "transportd.key")})
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	q := archive.Query{Gateway: "irc.example.org", User: "juliet@example.org", JID: room, Limit: 1000}
	var kept []spoken
	count := map[string]int{}
	for more := true; more; {
		var lines []archive.Line
		if lines, more, err = db.ArchiveLines(context.Background(), &q); err != nil {
			k.t.Fatal(err)
		}
		for _, l := range lines {
			what := l.Body
			if what == "" {
				what = string(l.Extra)
			}
			kept = append(kept, spoken{l.String(), what})
			count[what]++
			q.After = l.Key
		}
	}
	at := 0
	for _, line := range k.shown {
		for at < len(kept) && kept[at] != line {
			at++
		}
		if at == len(kept) {
			k.t.Fatalf("of %d lines shown, %q with id %s is not in the archive behind those before it (%d times in all)", len(k.shown), line.body, line.id, count[line.body])
		}
	}
	for body, n := range count {
		if n > 1 {
			k.t.Errorf("%q is in the archive %d times", body, n)
		}
	}
	subjects := 0
	for _, line := range k.shown {
		if strings.HasPrefix(line.body, "<subject>") {
			subjects++
		}
	}
	if subjects < kills/10 {
		k.t.Errorf("only %d subjects were shown", subjects)
	}
	k.t.Logf("%d lines were shown, %d are in the archive, over %d kills", len(k.shown), len(kept), kills)
}
