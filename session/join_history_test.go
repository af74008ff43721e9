package session

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The stream breaks while the archive is read for a client that joins: when it is
// back, the client is brought in.
func TestStreamDownWhileHistoryIsRead(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.line("bob", "before")
		w.news()
		w.lines.Slow(5 * time.Second)
		w.from("<presence from='ALICE/laptop' to='#room%net@GW/Alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		w.cut()
		w.line("bob", "meanwhile")
		time.Sleep(10 * time.Second)
		w.lines.Slow(0)
		w.news()
		w.mend()
		w.answer(nil)
		time.Sleep(time.Minute)
		var got []string
		for _, s := range w.news() {
			if strings.Contains(s, `to="alice@home.example/laptop"`) {
				got = append(got, s)
			}
		}
		all := strings.Join(got, "\n")
		for _, part := range []string{`code="110"`, "<body>before</body>", "<body>meanwhile</body>", "<subject"} {
			if strings.Count(all, part) != 1 {
				t.Errorf("%s comes %d times in\n%s", part, strings.Count(all, part), all)
			}
		}
	})
}

// The stream breaks again while it is read what a client missed: in the end it has
// every line, once.
func TestStreamDownWhileMissedLinesAreRead(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		n := 0
		talk := func() {
			for range keptLines + 100 {
				w.line("bob", fmt.Sprintf("line %d.", n))
				n++
			}
		}
		w.line("bob", "first")
		time.Sleep(time.Minute)
		w.cut()
		talk()
		w.lines.Slow(5 * time.Second)
		w.mend()
		w.answer(nil)
		w.cut()
		time.Sleep(10 * time.Second)
		w.lines.Slow(0)
		talk()
		w.news()
		w.mend()
		w.answer(nil)
		time.Sleep(time.Minute)
		all := strings.Join(w.news(), "\n")
		for i := range n {
			if c := strings.Count(all, fmt.Sprintf("<body>line %d.</body>", i)); c != 1 {
				t.Fatalf("line %d of %d comes %d times", i, n, c)
			}
		}
	})
}
