package session

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

// page is the answer to a query of an archive.
type page struct {
	bodies, ids, stamps []string
	fin                 string // the IQ
	lines               []string
}

// ask sends a query to #room's archive and reads the answer.
func (w *world) ask(content string) page {
	w.t.Helper()
	w.from("<iq type='set' id='q1' from='ALICE/phone' to='#room%net@GW'><query xmlns='urn:xmpp:mam:2' queryid='f27'>" + content + "</query></iq>")
	time.Sleep(time.Second)
	var p page
	for _, s := range w.news() {
		switch {
		case strings.HasPrefix(s, "<iq"):
			p.fin = s
		case strings.Contains(s, `<result xmlns="urn:xmpp:mam:2" queryid="f27"`):
			if p.fin != "" {
				w.t.Errorf("a line behind the end: %s", s)
			}
			p.lines = append(p.lines, s)
			p.ids = append(p.ids, between(s, `queryid="f27" id="`, `"`))
			p.stamps = append(p.stamps, between(s, `stamp="`, `"`))
			body := ""
			if m := bodyPattern.FindStringSubmatch(s); m != nil {
				body = m[1]
			}
			p.bodies = append(p.bodies, body)
		}
	}
	return p
}

func form(fields ...string) string {
	s := "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
	for i := 0; i < len(fields); i += 2 {
		s += "<field var='" + fields[i] + "'><value>" + strings.ReplaceAll(fields[i+1], ",", "</value><value>") + "</value></field>"
	}
	return s + "</x>"
}

func rsm(content string) string {
	return "<set xmlns='http://jabber.org/protocol/rsm'>" + content + "</set>"
}

func (p page) complete() bool { return strings.Contains(p.fin, `complete="true"`) }

func TestArchiveIsPaged(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		const n = 123
		var said []string
		for i := range n {
			w.line([]string{"bob", "carol"}[i%2], fmt.Sprint("line ", i))
			said = append(said, fmt.Sprint("line ", i))
			time.Sleep(1500 * time.Millisecond)
		}
		_, live := w.said("phone")

		var forwards, ids []string
		for after := ""; ; {
			set := "<max>50</max>"
			if after != "" {
				set += "<after>" + after + "</after>"
			}
			p := w.ask(rsm(set))
			forwards, ids = append(forwards, p.bodies...), append(ids, p.ids...)
			if got := between(p.fin, "<first>", "<"); got != p.ids[0] {
				t.Fatalf("first is %s: %s", got, p.fin)
			}
			after = between(p.fin, "<last>", "<")
			if p.complete() {
				break
			}
		}
		if !slices.Equal(forwards, said) || !slices.Equal(ids, live) {
			t.Errorf("forwards: %v %v", forwards, ids)
		}

		var backwards []string
		for before := "<before/>"; ; {
			p := w.ask(rsm("<max>50</max>" + before))
			backwards = append(slices.Clone(p.bodies), backwards...)
			before = "<before>" + between(p.fin, "<first>", "<") + "</before>"
			if p.complete() {
				break
			}
		}
		if !slices.Equal(backwards, said) {
			t.Errorf("backwards: %v", backwards)
		}

		flipped := w.ask(rsm("<max>3</max><before/>") + "<flip-page/>")
		if want := []string{"line 122", "line 121", "line 120"}; !slices.Equal(flipped.bodies, want) || between(flipped.fin, "<first>", "<") != live[120] {
			t.Errorf("flipped: %v %s", flipped.bodies, flipped.fin)
		}
		if p := w.ask(""); len(p.bodies) != pageUsual || p.complete() {
			t.Errorf("without a size: %d lines, %s", len(p.bodies), p.fin)
		}
		if p := w.ask(rsm("<max>100000</max>")); len(p.bodies) != n || !p.complete() {
			t.Errorf("with a huge size: %d lines, %s", len(p.bodies), p.fin)
		}
		if p := w.ask(rsm("<max>0</max>")); len(p.bodies) != 0 || !strings.Contains(p.fin, "<count>123</count>") {
			t.Errorf("counted: %s", p.fin)
		}
	})
}

// Where rooms are not anonymous, lines tell who said them, whatever the nick was, and
// can be asked for by that.
func TestArchiveOfPeopleWhoAreKnown(t *testing.T) {
	recorded(t, func(w *world) {
		w.driver.Addresses = true
		w.join("phone", "Alice")
		for i, nick := range []string{"Bob", "Robert", "carol"} {
			p := bridgetest.Person(nick)
			if p.Address = "bob"; nick == "carol" {
				p.Address = "carol"
			}
			p.Identity = p.Address
			w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: p, Body: fmt.Sprint(i)})
		}
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='mine'><body>mine</body>" +
			"<x xmlns='http://jabber.org/protocol/muc#user'><item jid='bob%net@gw.example'/></x></message>")
		w.news()
		check := func(name string) {
			t.Helper()
			p := w.ask("")
			for i, want := range []string{"bob%net@gw.example", "bob%net@gw.example", "carol%net@gw.example", "alice@home.example"} {
				x := `<x xmlns="http://jabber.org/protocol/muc#user"><item jid="` + want + `"/></x>`
				if i >= len(p.lines) || !strings.Contains(p.lines[i], x) || strings.Count(p.lines[i], "muc#user") != 1 {
					t.Errorf("%s: line %d is not of %s: %q", name, i, want, p.lines)
				}
			}
			for _, c := range []struct{ query, want string }{
				{form("with", "bob%net@"+domain), "0|1"},
				{form("with", "carol%net@"+domain), "2"},
				{form("with", "bob%other@"+domain), ""},
				{form("with", "#room%net@"+domain+"/Bob"), "0"},
				{form("with", "alice@home.example"), "mine"},
			} {
				if p := w.ask(c.query); strings.Join(p.bodies, "|") != c.want {
					t.Errorf("%s: %s: %q\n%s", name, c.query, p.bodies, p.fin)
				}
			}
		}
		check("in the room")
		w.restart()
		w.driver.Addresses = true
		check("without a link")
	})
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.line("Bob", "anonymous")
		w.news()
		if p := w.ask(""); len(p.lines) != 1 || strings.Contains(p.lines[0], "muc#user") {
			t.Errorf("%q", p.lines)
		}
	})
}

func TestArchiveIsFiltered(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		for i := range 6 {
			w.line([]string{"Bob", "carol"}[i%2], fmt.Sprint(i))
			time.Sleep(1500*time.Millisecond + 123*time.Microsecond)
		}
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='mine'><body>mine</body></message>")
		w.news()
		all := w.ask("")
		for _, c := range []struct{ name, query, want string }{
			{"start of a line", form("start", all.stamps[4]), "4|5|mine"},
			{"end at a line", form("end", all.stamps[1]), "0|1"},
			{"end at a line, in milliseconds", form("end", all.stamps[1][:23]+"Z"), "0|1"},
			{"span", form("start", all.stamps[1], "end", all.stamps[2]), "1|2"},
			{"after and before", form("after-id", all.ids[1], "before-id", all.ids[4]), "2|3"},
			{"form and page", form("before-id", all.ids[4]) + rsm("<max>2</max><before/>"), "2|3"},
			{"both", form("after-id", all.ids[0]) + rsm("<max>2</max><after>"+all.ids[2]+"</after>"), "3|4"},
			{"ids", form("ids", all.ids[3]+","+all.ids[0]), "0|3"},
			{"an occupant", form("with", "#room%net@"+domain+"/Bob"), "0|2|4"},
			{"a person", form("with", "bob%net@"+domain), "0|2|4"},
			{"the user", form("with", "alice@home.example"), "mine"},
			{"the room", form("with", "#room%net@"+domain), "0|1|2|3|4|5|mine"},
			{"a stranger", form("with", "eve@else.example"), ""},
			{"a person elsewhere", form("with", "bob%other@"+domain), ""},
			{"an empty field", form("start", ""), "0|1|2|3|4|5|mine"},
		} {
			w.net().SetMembers("#room", bridgetest.Person("Bob"), bridgetest.Person("carol"))
			if p := w.ask(c.query); strings.Join(p.bodies, "|") != c.want || !p.complete() && c.name != "form and page" && c.name != "both" {
				t.Errorf("%s: %q\n%s", c.name, p.bodies, p.fin)
			}
		}
		for _, c := range []struct{ query, condition string }{
			{form("ids", all.ids[0]+",nonsense"), "item-not-found"},
			{form("ids", archive.Key{At: 5}.String()), "item-not-found"},
			{rsm("<after>nonsense</after>"), "item-not-found"},
			{form("start", "noon"), "bad-request"},
			{form("free-text", "x"), "feature-not-implemented"},
		} {
			if p := w.ask(c.query); !strings.Contains(p.fin, "<"+c.condition) {
				t.Errorf("%s: %s", c.query, p.fin)
			}
		}
		w.from("<presence from='ALICE/phone' to='#other%net@GW/Alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		w.say(&bridges.Message{Place: bridges.Place{Room: "#other"}, From: bridgetest.Person("bob"), Body: "elsewhere"})
		_, rest, _ := strings.Cut(strings.Join(w.news(), "\n"), "<body>elsewhere</body>")
		other := between(rest, `sid:0" id="`, `"`)
		for _, c := range []struct{ name, query, want string }{
			{"of another room", form("ids", other), "error item-not-found"},
			{"one of them of another room", form("ids", all.ids[0]+","+other), "error item-not-found"},
			{"after one of another room", rsm("<after>" + other + "</after>"), ""},
			{"before one of another room", rsm("<before>" + other + "</before>"), "0|1|2|3|4|5|mine"},
			{"an id twice", form("ids", all.ids[2]+","+all.ids[1]+","+all.ids[2]), "1|2"},
			{"ids, flipped", form("ids", all.ids[0]+","+all.ids[3]) + "<flip-page/>", "3|0"},
			{"ids and a small page", form("ids", all.ids[0]+","+all.ids[3]) + rsm("<max>1</max>"), "0|3"},
			{"before and after", rsm("<after>" + all.ids[1] + "</after><before>" + all.ids[4] + "</before>"), "2|3"},
			{"before and after, crossed", rsm("<after>" + all.ids[4] + "</after><before>" + all.ids[1] + "</before>"), ""},
			{"before and after the same", rsm("<after>" + all.ids[4] + "</after><before>" + all.ids[4] + "</before>"), ""},
			{"the last two before and after", rsm("<max>2</max><after>" + all.ids[1] + "</after><before>" + all.ids[5] + "</before>"), "3|4 more"},
			{"start after end", form("start", all.stamps[3], "end", all.stamps[1]), ""},
			{"the end of 1969", form("end", "1970-01-01T00:00:00Z"), ""},
			{"long ago", form("end", "0002-01-01T00:00:00Z"), ""},
			{"far ahead", form("start", "9999-12-31T23:59:59Z"), ""},
			{"all times", form("start", "0001-01-01T00:00:00Z", "end", "9999-12-31T23:59:59Z"), "0|1|2|3|4|5|mine"},
			{"the first of all ids", rsm("<before>" + archive.Key{}.String() + "</before>"), ""},
			{"after the first of all ids", rsm("<after>" + archive.Key{}.String() + "</after>"), "0|1|2|3|4|5|mine"},
			{"counted", rsm("<max>0</max>"), " count 7 more"},
			{"counted, whatever the page", rsm("<max>0</max><before>" + all.ids[3] + "</before>"), " count 7 more"},
			{"counted, from the end", rsm("<max>0</max><before/>"), " count 7 more"},
			{"counted, of some", form("before-id", all.ids[3], "with", "#room%net@"+domain+"/Bob") + rsm("<max>0</max>"), " count 2 more"},
			{"counted, of nobody", form("with", "eve@else.example") + rsm("<max>0</max>"), " count 0"},
			{"a huge page", rsm("<max>99999999999999999999</max>"), "0|1|2|3|4|5|mine"},
			{"a negative page", rsm("<max>-1</max>"), "error bad-request"},
			{"no number", rsm("<max>1e3</max>"), "error bad-request"},
			{"a page of nothing", rsm("<max/>"), "error bad-request"},
			{"an occupant, in other letters", form("with", "#room%net@"+domain+"/bOB"), "0|2|4"},
			{"a field nobody knows, empty", form("free-text", ""), "0|1|2|3|4|5|mine"},
			{"no form, flipped", "<flip-page/>", "mine|5|4|3|2|1|0"},
		} {
			p := w.ask(c.query)
			got := strings.Join(p.bodies, "|")
			if strings.Contains(p.fin, "<count>") {
				got += " count " + between(p.fin, "<count>", "<")
			}
			if strings.Contains(p.fin, "<error") {
				got += "error " + strings.Fields(strings.TrimLeft(p.fin[strings.Index(p.fin, "<error"):], "<"))[0]
				for _, condition := range []string{"item-not-found", "bad-request"} {
					if strings.Contains(p.fin, "<"+condition) {
						got = "error " + condition
					}
				}
			} else if !p.complete() {
				got += " more"
			}
			if got != c.want {
				t.Errorf("%s: %q, not %q\n%s", c.name, got, c.want, p.fin)
			}
		}
		// The place of a line that is gone is still known.
		key, _ := archive.ParseKey(all.ids[2])
		key.Tie++
		if p := w.ask(rsm("<after>" + key.String() + "</after>")); strings.Join(p.bodies, "|") != "3|4|5|mine" {
			t.Errorf("from a line that is gone: %q", p.bodies)
		}
	})
}

func TestArchiveAnswers(t *testing.T) {
	recorded(t, func(w *world) {
		w.from("<iq type='get' id='m0' from='ALICE/phone' to='#room%net@GW'><metadata xmlns='urn:xmpp:mam:2'/></iq>")
		time.Sleep(time.Second)
		w.expect(`type="result" & <metadata xmlns="urn:xmpp:mam:2"/>`)
		if p := w.ask(""); !p.complete() || len(p.ids) != 0 {
			t.Errorf("a room nobody was in: %+v", p)
		}
		w.join("phone", "Alice")
		w.line("bob", "first")
		time.Sleep(time.Minute)
		w.line("bob", "last")
		w.news()
		w.from("<presence from='ALICE/phone' to='#room%net@GW/Alice' type='unavailable'/>")
		time.Sleep(time.Hour)
		w.news()
		p := w.ask("") // without being in
		if strings.Join(p.bodies, "|") != "first|last" {
			t.Errorf("after leaving: %q %s", p.bodies, p.fin)
		}
		if want := `<message xmlns="jabber:client" from="#room%net@gw.example/bob" type="groupchat" id="`; !strings.Contains(p.lines[0], want) || strings.Contains(between(p.lines[0], "<message xmlns", ">"), " to=") {
			t.Errorf("a line is %s", p.lines[0])
		}
		w.from("<iq type='get' id='m1' from='ALICE/phone' to='#room%net@GW'><metadata xmlns='urn:xmpp:mam:2'/></iq>")
		time.Sleep(time.Second)
		w.expect(`<start id="` + p.ids[0] + `" timestamp="` + regexp.QuoteMeta(p.stamps[0]) + `"/><end id="` + p.ids[1] + `"`)
		w.from("<iq type='get' id='f1' from='ALICE/phone' to='#room%net@GW'><query xmlns='urn:xmpp:mam:2'/></iq>")
		w.expect(`var="with" & var="after-id" & var="ids"`)
		w.from("<iq type='get' id='d1' from='ALICE/phone' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
		w.expect(`var="urn:xmpp:mam:2" & var="urn:xmpp:mam:2#extended"`)
		w.lines.Fail(errors.New("gone"))
		if p := w.ask(""); !strings.Contains(p.fin, `type="error"`) || !strings.Contains(p.fin, "cannot be read at the moment") || strings.Contains(p.fin, "gone") {
			t.Errorf("while the database is away: %s", p.fin)
		}
		w.lines.Fail(nil)
	})
}

// Another user's archive of the same room is another.
func TestArchiveIsOnesOwn(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.line("bob", "for alice")
		w.news()
		w.from("<iq type='set' id='q1' from='carol@home.example/x' to='#room%net@GW'><query xmlns='urn:xmpp:mam:2'/></iq>")
		time.Sleep(time.Second)
		w.expect(`to="carol@home.example/x" & complete="true"`)
		w.from("<iq type='set' id='q1' from='eve@else.example/x' to='#room%net@GW'><query xmlns='urn:xmpp:mam:2'/></iq>")
		w.expect(`to="eve@else.example/x" & type="error"`)
	})
}

func TestTombstones(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='one'><body>secret</body></message>")
		time.Sleep(time.Minute)
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='two'><retract xmlns='urn:xmpp:message-retract:1' id='one'/></message>")
		w.news()
		p := w.ask("")
		if len(p.lines) != 2 || !strings.Contains(p.lines[0], `<retracted xmlns="urn:xmpp:message-retract:1" id="two" stamp="2000-01-01T00:01:00Z"/>`) || strings.Contains(p.lines[0], "secret") {
			t.Errorf("%s", strings.Join(p.lines, "\n"))
		}
		if !strings.Contains(p.lines[1], `<retract xmlns="urn:xmpp:message-retract:1" id="one"/>`) {
			t.Errorf("%s", p.lines[1])
		}
	})
}

// Lines that only some hear stay with those, also in the archive.
func TestSharedRoomKeepsSecrets(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.from("<presence from='carol@home.example/x' to='#room%net@GW/Carol'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		a, c := w.driver.Net(0), w.driver.Net(1)
		to := func(n *bridgetest.ScriptNet, body, part string) {
			n.Say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: body, To: part})
			w.news()
		}
		to(a, "both", "")
		to(c, "both", "")
		to(a, "operators", "@")
		w.news()
		if p := w.ask(""); strings.Join(p.bodies, "|") != "both|[@] operators" {
			t.Errorf("alice has %q", p.bodies)
		}
		w.from(strings.ReplaceAll("<iq type='set' id='q1' from='carol@home.example/x' to='#room%net@GW'><query xmlns='urn:xmpp:mam:2'/></iq>", "ALICE", ""))
		time.Sleep(time.Second)
		w.expect(`<body>both</body>`, `complete="true"`)
		room := archive.Room{Gateway: domain, Network: "net", Room: "#room"}
		if n := w.lines.Stored(room); n != 2 {
			t.Errorf("%d lines are stored", n)
		}
	})
}

func TestOwnAddressOwnArchive(t *testing.T) {
	recorded(t, func(w *world) {
		w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error { n.Alone = true; return nil }
		w.join("phone", "Alice")
		w.line("bob", "through a bouncer")
		w.news()
		w.ask("")
		if n := w.lines.Stored(archive.Room{Gateway: domain, Network: "net", Room: "#room", Owner: "alice@home.example"}); n != 1 {
			t.Errorf("%d lines in the archive of her own", n)
		}
	})
}

// A user whom lines have not reached yet gets whole answers about those that have.
func TestArchiveWhileLinesAreOnTheirWay(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.from("<presence from='carol@home.example/x' to='#room%net@GW/Carol'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		a, c := w.driver.Net(0), w.driver.Net(1)
		to := func(n *bridgetest.ScriptNet, body string) {
			n.Say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: body})
			w.news()
		}
		for i := range 3 {
			to(a, fmt.Sprint(i))
			to(c, fmt.Sprint(i))
		}
		for i := range 60 { // alice's connection is behind
			to(c, fmt.Sprint("carol's ", i))
		}
		for _, p := range []page{w.ask(rsm("<max>3</max><before/>")), w.ask(""), w.ask(rsm("<max>250</max>"))} {
			if strings.Join(p.bodies, "|") != "0|1|2" || !p.complete() {
				t.Errorf("alice has %q %s", p.bodies, p.fin)
			}
		}
		if p := w.ask(rsm("<max>2</max><before/>")); strings.Join(p.bodies, "|") != "1|2" || p.complete() {
			t.Errorf("alice's last two are %q %s", p.bodies, p.fin)
		}
		if p := w.ask(rsm("<max>0</max>")); !strings.Contains(p.fin, "<count>3</count>") {
			t.Errorf("counted: %s", p.fin)
		}
		ids := w.ask("").ids
		w.from("<iq type='get' id='m1' from='ALICE/phone' to='#room%net@GW'><metadata xmlns='urn:xmpp:mam:2'/></iq>")
		time.Sleep(100 * time.Millisecond)
		w.expect(`<start id="` + ids[0] + `".*<end id="` + ids[2] + `"`)
	})
}
