package session

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
)

var (
	numbered = regexp.MustCompile(`^<message type="groupchat" id="([^"]*)" .*to="alice@home.example/a".*<body>n(\d+)</body>`)
	answered = regexp.MustCompile(`^<message type="(groupchat|error)" id="m(\d+)"`)
)

// The stream breaks, takes with it what was just written, and returns; the link
// does the same; clients answer sooner or later. Every line of the network's must
// reach a client that stays, in order, and under one id; every line of the client's
// is reflected or refused.
func TestLinesWhileEverythingFlaps(t *testing.T) {
	for seed := range uint64(60) {
		scenario(t, func(w *world) {
			f := &flapping{world: w, rnd: rand.New(rand.NewPCG(seed, 1)), up: true, asked: time.Now()}
			w.stream.reads(repeatSpan)
			w.join("a", "alice")
			for range 80 {
				f.step()
			}
			if !f.up {
				w.mend()
			}
			w.answer(nil)
			time.Sleep(time.Minute) // the link is back too
			w.answer(nil)
			f.look()
			if f.checkNetwork(); !f.checkClient() {
				t.Errorf("with the seed %d", seed)
			}
		})
	}
}

// flapping is a world in which things happen at random.
type flapping struct {
	*world
	rnd         *rand.Rand
	up          bool
	said, wrote int       // lines of the network's, of the client's
	losses      int       // of the link
	asked       time.Time // when the client was pinged
	seen        []string
}

func (f *flapping) look() { f.seen = append(f.seen, f.news()...) }

func (f *flapping) step() {
	switch f.rnd.IntN(10) {
	case 0, 1, 2:
		if f.m.Stats().Online == 1 {
			f.line("bob", fmt.Sprint("n", f.said))
			f.said++
		}
	case 3:
		if f.up { // what is lost with the stream is not older than this
			f.look()
		}
		time.Sleep(time.Duration(f.rnd.IntN(8000)) * time.Millisecond)
	case 4:
		if f.up {
			f.lose()
			f.up = false
		}
	case 5:
		if !f.up {
			f.mend()
			f.up, f.asked = true, time.Now()
		}
	case 6:
		if f.up {
			f.answer(nil)
		}
	case 7:
		if f.losses < 3 && f.m.Stats().Online == 1 { // more, and the room is given up
			f.losses++
			f.net().End(bridges.NewError(bridges.Offline, "Ping timeout"))
			f.perhapsWait()
		}
	case 8, 9:
		if f.up {
			f.deliver(fmt.Sprint("<message type='groupchat' id='m", f.wrote, "' from='ALICE/a' to='#room%net@GW'><body>mine</body></message>"))
			f.wrote++
			f.perhapsWait()
		}
	}
	if f.up && time.Since(f.asked) > verifyTime/2 {
		f.answer(nil)
	}
	if f.up && f.rnd.IntN(2) == 0 {
		time.Sleep(repeatSpan) // what is older has long arrived
		f.look()
	}
}

func (f *flapping) perhapsWait() {
	if f.rnd.IntN(2) == 0 {
		synctest.Wait()
	}
}

// lose breaks the stream; the last lines do not come through.
func (f *flapping) lose() {
	got := f.news()
	lost := f.rnd.IntN(1 + min(len(got), 3))
	for i, s := range got {
		if i < len(got)-lost || strings.Contains(s, "<error") {
			f.seen = append(f.seen, s)
		}
	}
	f.cut()
}

// checkNetwork checks what became of the network's lines.
func (f *flapping) checkNetwork() {
	ids := make(map[int]string)
	var order []int
	for _, s := range f.seen {
		m := numbered.FindStringSubmatch(s)
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[2])
		if ids[n] == "" {
			ids[n] = m[1]
			order = append(order, n)
		} else if ids[n] != m[1] {
			f.t.Errorf("line %d has the ids %s and %s", n, ids[n], m[1])
		}
	}
	if len(order) != f.said || !slices.IsSorted(order) {
		f.t.Errorf("of %d lines arrived %v", f.said, order)
	}
}

// checkClient checks what became of the client's, and whether all is well.
func (f *flapping) checkClient() bool {
	outcome := make(map[string]string)
	for _, s := range f.seen {
		m := answered.FindStringSubmatch(s)
		if m == nil {
			continue
		}
		if was := outcome[m[2]]; was != "" && (was != m[1] || was == "error") {
			f.t.Errorf("line m%s has two outcomes", m[2])
		}
		outcome[m[2]] = m[1]
	}
	if len(outcome) != f.wrote {
		f.t.Errorf("%d lines of the client's have an outcome, of %d", len(outcome), f.wrote)
	}
	return !f.t.Failed()
}
