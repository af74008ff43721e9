package test

import (
	"fmt"
	"regexp"
	"strconv"

	. "transportd/internal/testenv"
)

// account goes through every line of both directions. At most lost of bob's may
// have gone down with the killed program.
func (tr *traffic) account(lost int) {
	tr.t.Helper()
	tr.accountXMPP()
	tr.accountIRC(lost)
}

var numbered = regexp.MustCompile(`^:([^!]+)!\S+ PRIVMSG \S+ :([xi]) (\d+)$`)

// accountXMPP: alice's lines.
func (tr *traffic) accountXMPP() {
	t := tr.t
	delivered, last := map[int]int{}, -1
	for _, line := range tr.witness.lines() {
		m := numbered.FindStringSubmatch(line)
		if m == nil || m[2] != "x" {
			continue
		}
		n, _ := strconv.Atoi(m[3])
		delivered[n]++
		if n < last {
			t.Errorf("x %d came after x %d", n, last)
		}
		last = n
	}
	unsent := map[string]bool{}
	for _, s := range tr.alice.Unsent() {
		unsent[s.Attr("id")] = true
	}
	var arrived, refused, never, vanished int
	for n, id := range tr.ids {
		body := Body(fmt.Sprintf("x %d", n))
		reflections := tr.alice.Received(Message(Type("groupchat"), body, ID(id)))
		errors := tr.alice.Received(Message(Type("error"), ID(id)))
		tr.sameID(append(reflections, tr.alice.Received(Message(Type("groupchat"), body, Delayed()))...))
		switch {
		case delivered[n] > 1:
			t.Errorf("x %d was said %d times", n, delivered[n])
		case delivered[n] == 1:
			arrived++
		case len(reflections) > 0:
			t.Errorf("x %d was shown to its sender as taken, and never arrived", n)
		case len(errors) > 0:
			refused++
		case unsent[id]:
			never++
		default:
			vanished++
		}
		if len(reflections) > 0 && len(errors) > 0 {
			t.Errorf("x %d was taken and refused", n)
		}
	}
	t.Logf("XMPP to IRC: %d lines: %d arrived, %d refused with an error, %d never left the client, %d went down with the killed program, unconfirmed",
		len(tr.ids), arrived, refused, never, vanished)
	if vanished > inFlight {
		t.Errorf("%d lines vanished, more than the %d that can be in flight", vanished, inFlight)
	}
	if arrived < crashLines {
		t.Errorf("only %d of %d lines arrived", arrived, len(tr.ids))
	}
}

// sameID: a repeat of a message carries the same id and stanza-id.
func (tr *traffic) sameID(copies []Stanza) {
	tr.t.Helper()
	for _, c := range copies {
		if a, b := stanzaID(copies[0], tr.room), stanzaID(c, tr.room); a != b {
			tr.t.Errorf("a repeat has another stanza-id: %s and %s", copies[0], c)
		}
		if a, b := copies[0].Attr("id"), c.Attr("id"); a != b {
			tr.t.Errorf("a repeat has another id: %s and %s", copies[0], c)
		}
	}
}

// accountIRC: bob's lines, those the server handed out while alice was in.
func (tr *traffic) accountIRC(bound int) {
	t := tr.t
	in, addressed := true, 0
	var lost []int
	for _, line := range tr.witness.lines() {
		switch {
		case regexp.MustCompile(`^:` + tr.alice.name + `!\S+ JOIN`).MatchString(line):
			in = true
		case regexp.MustCompile(`^:` + tr.alice.name + `!\S+ (QUIT|PART)`).MatchString(line):
			in = false
		case regexp.MustCompile(` 353 `).MatchString(line): // the witness itself came in
			in = regexp.MustCompile(`[ :@+]` + tr.alice.name + `( |$)`).MatchString(line)
		}
		m := numbered.FindStringSubmatch(line)
		if m == nil || m[2] != "i" || !in {
			continue
		}
		addressed++
		n, _ := strconv.Atoi(m[3])
		copies := tr.alice.Received(Message(Type("groupchat"), Body("i "+m[3])))
		if len(copies) == 0 {
			lost = append(lost, n)
		}
		tr.sameID(copies)
	}
	tr.inOrder()
	t.Logf("IRC to XMPP: %d lines were said while alice was in, %d of them went down with the killed program: %v", addressed, len(lost), lost)
	if len(lost) > bound {
		t.Errorf("%d lines are missing, at most %d may be", len(lost), bound)
	}
	for i := 1; i < len(lost); i++ {
		if lost[i] != lost[i-1]+1 {
			t.Errorf("lines are missing in more than one place: %v", lost)
			break
		}
	}
	if addressed < crashLines {
		t.Errorf("only %d of %d lines were said while alice was in", addressed, tr.sent[1].Load())
	}
}

// inOrder: leaving repeats aside, alice got bob's lines in the order he said them.
func (tr *traffic) inOrder() {
	seen, last := map[string]bool{}, -1
	for _, m := range tr.alice.Received(Message(Type("groupchat"), BodyLike(`^i \d+$`))) {
		text := m.Child("", "body").Text
		if seen[text] {
			continue
		}
		seen[text] = true
		n, _ := strconv.Atoi(text[2:])
		if n < last {
			tr.t.Errorf("i %d came after i %d", n, last)
		}
		last = n
	}
}
