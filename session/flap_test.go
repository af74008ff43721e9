package session

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
)

var numbered = regexp.MustCompile(`^<message type="groupchat" id="([^"]*)" .*to="alice@home.example/a".*<body>n(\d+)</body>`)

// The stream breaks, takes with it what was just written, and returns; the link
// does the same; clients answer sooner or later. Every line of the network's must
// reach a client that stays, in order, and under one id.
func TestLinesWhileEverythingFlaps(t *testing.T) {
	for seed := range uint64(60) {
		scenario(t, func(w *world) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			w.join("a", "alice")
			said, up, losses, asked := 0, true, 0, time.Now()
			var seen []string
			for range 80 {
				switch rnd.IntN(8) {
				case 0, 1, 2:
					if w.m.Stats().Online == 1 {
						w.line("bob", fmt.Sprint("n", said))
						said++
					}
				case 3:
					if up { // what is lost with the stream is not older than this
						seen = append(seen, w.news()...)
					}
					time.Sleep(time.Duration(rnd.IntN(8000)) * time.Millisecond)
				case 4:
					if up {
						got := w.news()
						seen = append(seen, got[:len(got)-rnd.IntN(1+min(len(got), 3))]...)
						w.cut()
						up = false
					}
				case 5:
					if !up {
						w.mend()
						up, asked = true, time.Now()
					}
				case 6:
					if up {
						w.answer(nil)
					}
				case 7:
					if losses < 3 && w.m.Stats().Online == 1 {
						losses++ // more, and the room is given up
						w.net().End(bridges.NewError(bridges.Offline, "Ping timeout"))
						synctest.Wait()
					}
				}
				if up && time.Since(asked) > verifyTime/2 {
					w.answer(nil)
				}
				if up && rnd.IntN(2) == 0 {
					// What is older than repeatSpan has long arrived.
					time.Sleep(repeatSpan)
					seen = append(seen, w.news()...)
				}
			}
			if !up {
				w.mend()
			}
			w.answer(nil)
			seen = append(seen, w.news()...)
			ids := make(map[int]string)
			var order []int
			for _, s := range seen {
				m := numbered.FindStringSubmatch(s)
				if m == nil {
					continue
				}
				n, _ := strconv.Atoi(m[2])
				if ids[n] == "" {
					ids[n] = m[1]
					order = append(order, n)
				} else if ids[n] != m[1] {
					t.Errorf("seed %d: line %d has the ids %s and %s", seed, n, ids[n], m[1])
				}
			}
			if len(order) != said || !slices.IsSorted(order) {
				t.Errorf("seed %d: of %d lines arrived %v", seed, said, order)
			}
		})
	}
}
