package matrix

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "transportd/internal/testenv"
)

// The storm: how often transportd is killed, while lines go both ways at this pace.
const (
	stormKills = 6
	stormPace  = 60 * time.Millisecond
	// stormLost bounds the lines of one kill that had not reached transportd: they were
	// in a socket, and nobody was shown that they were taken.
	stormLost = 6
)

// TestStorm: transportd is killed at random moments in the middle of a talk. Each line
// that comes through does so once, in its order and with the same ids; what does not was
// never shown as taken.
func TestStorm(t *testing.T) {
	w, s := alone(t)
	p := w.meet(t, s, "storm")
	k := &talk{pair: p, garden: p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))}
	k.at = p.enter("")
	k.speak("begin", 1)
	k.settled()
	stop := make(chan struct{})
	var talkers sync.WaitGroup
	annas := 0
	talkers.Go(func() {
		for ; ; annas++ {
			select {
			case <-stop:
				return
			case <-time.After(stormPace):
			}
			if _, err := k.anna.Say(t.Context(), k.garden, fmt.Sprint("anna ", annas)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	talkers.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(stormPace):
			}
			l := sentLine{k.xmpp.NewID(), fmt.Sprint("ben ", i)}
			k.sent = append(k.sent, l)
			if err := k.xmpp.Send(`<message to='%s' type='groupchat' id='%s'><body>%s</body></message>`, k.at, l.id, l.body); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range stormKills {
		time.Sleep(time.Duration(200+rand.IntN(1500)) * time.Millisecond)
		s.gateway.Kill9()
		k.try(s.gateway.Start(k.wait()))
	}
	close(stop)
	talkers.Wait()
	k.hears(InRoom(k.garden), Sender(k.benID), Text(k.back()))
	k.id(k.anna.Say(k.wait(), k.garden, "anna end"))
	k.expect(Message(FromBare(k.at), Body("anna end")))
	k.account(annas)
}

// back waits until ben is in the room and heard there, and returns what he has said. What
// came while transportd was going up and down tells nothing of where he is now; what was
// said while he was out is history.
func (k *talk) back() string {
	k.Helper()
	ctx := k.wait()
	for ctx.Err() == nil {
		k.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='50'/></x></presence>`, k.at)
		l := sentLine{k.xmpp.NewID(), fmt.Sprint("end ", len(k.sent))}
		k.sent = append(k.sent, l)
		k.send(`<message to='%s' type='groupchat' id='%s'><body>%s</body></message>`, k.at, l.id, l.body)
		if got := k.expect(Message(FromBare(k.at), ID(l.id))); got.Attr("type") != "error" {
			return l.body
		}
	}
	k.Fatal("ben does not get in")
	return ""
}

// account compares what was said with what is on Matrix and what ben was shown.
func (k *talk) account(annas int) {
	k.Helper()
	onMatrix := map[string]int{}
	var order []string
	for _, ev := range k.anna.Received(InRoom(k.garden), Sender(k.benID)) {
		if body := ev.Body(); body != "" {
			if onMatrix[body]++; onMatrix[body] == 1 {
				order = append(order, body)
			}
		}
	}
	lost, at := 0, -1
	for _, l := range k.sent {
		shown := k.shown(l.body, Not(Type("error")))
		switch n := onMatrix[l.body]; {
		case n > 1:
			k.Errorf("%q is on Matrix %d times", l.body, n)
		case n == 0 && len(shown) > 0:
			k.Errorf("%q was shown as taken, and is not on Matrix", l.body)
		case n == 0:
			if _, refused := k.xmpp.Seen(Message(FromBare(k.at), Type("error"), ID(l.id))); !refused {
				lost++
			}
		default:
			i := slices.Index(order, l.body)
			if i < at {
				k.Errorf("%q is out of order", l.body)
			}
			at = i
			k.same(l.body, l.id, shown)
		}
	}
	if limit := stormKills * stormLost; lost > limit {
		k.Errorf("%d lines vanished, at most %d may", lost, limit)
	}
	k.Logf("ben said %d lines, %d are on Matrix, %d were lost in sockets; anna said %d", len(k.sent), len(order), lost, annas)
	for i := range annas {
		body := fmt.Sprint("anna ", i)
		k.same(body, "", k.shown(body))
	}
}

// shown are the ids under which ben was shown a line: the client's or the event's, and
// the room's.
func (k *talk) shown(body string, ms ...Match) map[string]int {
	ids := map[string]int{}
	for _, st := range k.xmpp.Received(Message(append(ms, FromBare(k.at), Body(body))...)) {
		ids[st.Attr("id")+" "+stanzaIDOf(st)]++
	}
	return ids
}

// same checks that a line was shown, always as the same one, and under an id.
func (k *talk) same(body, id string, shown map[string]int) {
	k.Helper()
	if len(shown) != 1 {
		k.Errorf("%q was shown as %v", body, shown)
		k.around(body)
	}
	for ids := range shown {
		if id != "" && !strings.HasPrefix(ids, id+" ") {
			k.Errorf("%q was shown as %s, not under %s", body, ids, id)
		}
	}
}

// around logs what ben was shown from the line before a numbered one to that after it.
func (k *talk) around(body string) {
	k.Helper()
	word, number, _ := strings.Cut(body, " ")
	n, _ := strconv.Atoi(number)
	all := k.xmpp.Received(Message(FromBare(k.at)))
	is := func(n int) func(Stanza) bool {
		want := Body(fmt.Sprint(word, " ", n))
		return func(st Stanza) bool { return want.Holds(st.Node) }
	}
	from, to := slices.IndexFunc(all, is(n-1)), slices.IndexFunc(all, is(n+1))
	if to < 0 {
		to = len(all) - 1
	}
	if from >= 0 && to >= from {
		k.Logf("meanwhile: %s", all[from:min(to+1, from+20)])
	}
}
