package session

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

// kept are the lines the archive has of one of alice's rooms.
func (w *world) kept(room string) string {
	w.t.Helper()
	w.from("<presence from='ALICE/reader' to='" + room + "%net@GW/Alice'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='100'/></x></presence>")
	bodies, _ := w.said("reader")
	w.from("<presence type='unavailable' from='ALICE/reader' to='" + room + "%net@GW/Alice'/>")
	w.news()
	return strings.Join(bodies, "|")
}

func (w *world) lineIn(room, text string) {
	w.t.Helper()
	w.say(&bridges.Message{Place: bridges.Place{Room: bridges.RoomID(room)}, From: bridgetest.Person("bob"), Body: text})
}

// A room's switch switches that room only.
func TestARoomIsNotRecorded(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("a", "Alice")
		w.from("<presence from='ALICE/a' to='#other%net@GW/Alice'>" + muc + "</presence>")
		w.lineIn("#room", "one")
		w.lineIn("#other", "two")
		w.news()
		w.from(ownerSet("#room", fieldLogging, "0"))
		w.expect(`<iq type="result" id="c2"`)
		w.lineIn("#room", "three")
		w.lineIn("#other", "four")
		w.from(ownerSet("#room", fieldLogging, "1"))
		w.lineIn("#room", "five")
		w.restart()
		w.join("a", "Alice")
		w.from("<presence from='ALICE/a' to='#other%net@GW/Alice'>" + muc + "</presence>")
		w.news()
		if got := w.kept("#room"); got != "one|five" {
			t.Errorf("#room has %q", got)
		}
		if got := w.kept("#other"); got != "two|four" {
			t.Errorf("#other has %q", got)
		}
	})
}

func TestDefaultsOfRecording(t *testing.T) {
	recorded(t, func(w *world) {
		no, yes := false, true
		ctx := context.Background()
		addr := bridges.Address{Kind: bridges.AddressRoom, Network: "net", Name: "#room"}
		w.join("a", "Alice")
		w.from("<presence from='ALICE/a' to='#other%net@GW/Alice'>" + muc + "</presence>")
		if err := w.m.setDefaults(ctx, w.user(), Defaults{Record: &no}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := w.m.setRoom(ctx, w.user(), w.m.jid(addr), addr, roomChange{setRecord: true, record: &yes}); err != nil {
			t.Fatal(err)
		}
		w.lineIn("#room", "one")
		w.lineIn("#other", "two")
		w.policy.Record = false
		w.restart()
		w.join("a", "Alice")
		w.from("<presence from='ALICE/a' to='#other%net@GW/Alice'>" + muc + "</presence>")
		w.news()
		if a, b := w.kept("#room"), w.kept("#other"); a != "one" || b != "" {
			t.Errorf("the archive has %q and %q", a, b)
		}
		if s := w.stored(); len(s) != 1 || s[0].Persistent {
			t.Errorf("stored is %+v", s)
		}
	})
}

func TestForget(t *testing.T) {
	recorded(t, func(w *world) {
		addr := bridges.Address{Kind: bridges.AddressRoom, Network: "net", Name: "#room"}
		w.join("a", "Alice")
		w.lineIn("#room", "one")
		if err := w.m.forgetHistory(context.Background(), w.user(), w.m.jid(addr), addr); err != nil {
			t.Fatal(err)
		}
		if want := "alice@home.example #room%net@gw.example"; w.store.forgotten != want {
			t.Errorf("forgotten is %q", w.store.forgotten)
		}
		for _, r := range w.m.peek(w.user()).rooms {
			if len(r.lines) != 0 {
				t.Errorf("%d lines are remembered", len(r.lines))
			}
		}
		w.lineIn("#room", "two")
		w.news()
		w.restart()
		w.join("a", "Alice")
		if got := w.kept("#room"); !strings.HasSuffix(got, "two") {
			t.Errorf("after forgetting nothing is recorded: %q", got)
		}
		w.store.fail = errors.New("disk gone")
		if err := w.m.forgetHistory(context.Background(), w.user(), w.m.jid(addr), addr); err == nil {
			t.Error("forgotten without the store")
		}
		w.store.fail = nil
	})
}

func TestRoomConfigurationRefuses(t *testing.T) {
	const query = "<query xmlns='http://jabber.org/protocol/muc#owner'>"
	for name, c := range map[string]struct{ to, query, want string }{
		"destroy":      {"#room%net@GW", query + "<destroy/></query>", "feature-not-implemented"},
		"no form":      {"#room%net@GW", query + "</query>", "bad-request"},
		"wrong type":   {"#room%net@GW", query + "<x xmlns='jabber:x:data' type='result'/></query>", "bad-request"},
		"bad value":    {"#room%net@GW", query + "<x xmlns='jabber:x:data' type='submit'><field var='" + fieldLogging + "'><value>perhaps</value></field></x></query>", "not-acceptable"},
		"an occupant":  {"#room%net@GW/bob", query + "<x xmlns='jabber:x:data' type='submit'/></query>", "bad-request"},
		"cancelled":    {"#room%net@GW", query + "<x xmlns='jabber:x:data' type='cancel'/></query>", `type="result"`},
		"all defaults": {"#room%net@GW", query + "<x xmlns='jabber:x:data' type='submit'/></query>", `type="result"`},
		"other fields": {"#room%net@GW", query + "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_roomname'><value>x</value></field></x></query>", `type="result"`},
	} {
		t.Run(name, func(t *testing.T) {
			scenario(t, func(w *world) {
				w.join("a", "Alice")
				w.from("<iq type='set' id='c2' from='ALICE/a' to='" + c.to + "'>" + c.query + "</iq>")
				w.expect(`id="c2" & ` + c.want)
				if s := w.stored(); len(s) != 0 {
					t.Errorf("stored is %+v", s)
				}
			})
		})
	}
}

// Somebody who is not in a room sets it up all the same, and costs no session.
func TestRoomConfigurationFromOutside(t *testing.T) {
	scenario(t, func(w *world) {
		w.from(ownerGet)
		w.expect(`id="c1" & type="result" & jabber:x:data`)
		w.from(ownerSet("#room", fieldLogging, "false"))
		w.expect(`type="result" id="c2"`)
		if s := w.stored(); len(s) != 1 || s[0].Record == nil || *s[0].Record || s[0].Persistent {
			t.Errorf("stored is %+v", s)
		}
		if n := w.m.Stats().Sessions; n != 0 || w.driver.Net(0) != nil {
			t.Errorf("%d sessions are left", n)
		}
	})
}

func TestSettingsAreBounded(t *testing.T) {
	scenario(t, func(w *world) {
		w.policy.MaxRooms = 1
		for _, room := range []string{"#a", "#b"} {
			w.from(ownerSet(room, fieldLogging, "false"))
			w.expect(`type="result" id="c2"`)
		}
		w.from(ownerSet("#c", fieldLogging, "false"))
		w.expect(`type="error" & resource-constraint`)
		w.from(ownerSet("#a", fieldLogging, "true"))
		w.expect(`type="result" id="c2"`)
	})
}

// command runs an ad-hoc command of one step with the answer to its form, and
// returns the last answer.
func (w *world) command(kind component.AddressKind, to, node, fields string) string {
	w.t.Helper()
	workers := component.NewWorkers(2, 10, nil)
	commands := component.NewCommands(component.CommandsConfig{
		Reply: w.stream.TrySend, Send: w.stream.Send, Workers: workers,
	})
	w.m.AddCommands(commands)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = workers.Run(ctx) }()
	defer func() { stop(); <-ended }()
	send := func(attrs, content string) string {
		st, err := component.ParseStanza("<iq type='set' id='k' from='alice@home.example/a' to='" + to + "'><command xmlns='http://jabber.org/protocol/commands' node='" + node + "'" + attrs + ">" + content + "</command></iq>")
		if err != nil {
			w.t.Fatal(err)
		}
		commands.HandleIQ(kind, st)
		synctest.Wait()
		news := w.news()
		for _, s := range news {
			if strings.Contains(s, `id="k"`) {
				return s
			}
		}
		w.t.Fatalf("no answer, but\n%s", strings.Join(news, "\n"))
		return ""
	}
	answer := send("", "")
	_, rest, more := strings.Cut(answer, `sessionid="`)
	if !more || strings.Contains(answer, `status="completed"`) {
		return answer
	}
	session, _, _ := strings.Cut(rest, `"`)
	return send(" action='complete' sessionid='"+session+"'", "<x xmlns='jabber:x:data' type='submit'>"+fields+"</x>")
}

func matches(pattern, s string) bool { return regexp.MustCompile(pattern).MatchString(s) }

func field(name, value string) string {
	return "<field var='" + name + "'><value>" + value + "</value></field>"
}

func TestCommandsOfRooms(t *testing.T) {
	scenario(t, func(w *world) {
		const host, network, room = component.AddressHost, component.AddressNetwork, component.AddressRoom
		for i, c := range []struct {
			kind           component.AddressKind
			to, node, form string
			want           string
		}{
			{host, domain, "rooms", "", "You are in no room"},
			{host, domain, "keep", field(fieldRoom, "#room%net"), "You stay in #room%net@gw.example from now on"},
			{host, domain, "rooms", "", `#room%net@gw.example</value>.*>net<.*In it as alice, without a client.*<value>yes</value>.*<value>yes</value>`},
			{network, "net@" + domain, "record", field(fieldRoom, "#room") + field(fieldRecord, "off"), "is not kept any more"},
			{network, "net@" + domain, "rooms", "", `<value>yes</value>.*<value>no</value>`},
			{network, "other@" + domain, "rooms", "", "You are in no room"},
			{room, "#room%net@" + domain, "configure", field(fieldKeep, "false") + field(fieldRecord, "on"), "The settings are stored"},
			{room, "#room%net@" + domain, "configure", field(fieldKeep, "false") + field(fieldRecord, "on"), "Nothing was changed"},
			{host, domain, "keep", field(fieldRoom, "nonsense%"), "There is no such address"},
			{host, domain, "keep", field(fieldRoom, "bob%net"), "not the address of a room"},
			{host, domain, "drop", field(fieldRoom, "#room%net@"+domain), "You do not keep this room"},
			{host, domain, "keep", field(fieldRoom, "#room%net@"+domain), "You stay in"},
			{host, domain, "drop", field(fieldRoom, "#ROOM%net@"+domain), "You have left"},
			{host, domain, "defaults", field(fieldRecord, "off") + field(fieldKeep, "default"), "The settings are stored"},
			{host, domain, "forget", field(fieldRoom, "#room%net"), "keeps no archive"},
		} {
			got := w.command(c.kind, c.to, c.node, c.form)
			if !matches(c.want, got) {
				t.Errorf("%d, %s: %s", i, c.node, got)
			}
			time.Sleep(time.Minute)
		}
		rec, _ := w.store.Record(context.Background(), "alice@home.example")
		if d := rec.Defaults; d.Record == nil || *d.Record || d.Persistent != nil {
			t.Errorf("the defaults are %+v", d)
		}
	})
}

func TestSettingsThatCannotBeStored(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "Alice")
		w.store.mu.Lock()
		w.store.fail = errors.New("disk full")
		w.store.mu.Unlock()
		w.from(ownerSet("#room", fieldPersistent, "true"))
		w.expect(`type="error" & id="c2" & internal-server-error & could not be stored & !disk full`)
		w.from(goAway)
		time.Sleep(2 * offlineSettles)
		w.called("leave #room")
	})
}

// What is changed twice while the store is slow is stored as it was said last.
func TestSettingsAreStoredInOrder(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "Alice")
		slow := make(chan struct{})
		w.store.slow = slow
		addr := bridges.Address{Kind: bridges.AddressRoom, Network: "net", Name: "#room"}
		s := w.m.peek(w.user())
		var done []bool
		s.post(func() {
			for i := range 21 {
				on := i%2 == 0
				s.changeRoom(w.m.jid(addr), addr, roomChange{setRecord: true, record: &on}, func(e *component.StanzaError) { done = append(done, e == nil) })
			}
		})
		w.line("bob", "meanwhile")
		w.expect(`meanwhile`)
		close(slow)
		synctest.Wait()
		if s := w.stored(); len(s) != 1 || !*s[0].Record || len(done) != 21 || slices.Contains(done, false) {
			t.Errorf("stored is %+v, %v", s, done)
		}
	})
}

func TestTheOperatorChangesTheDefault(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("a", "Alice")
		w.lineIn("#room", "one")
		time.Sleep(time.Second)
		w.policy.Record = false
		w.m.PolicyChanged()
		w.lineIn("#room", "two")
		time.Sleep(time.Second)
		w.policy.Record = true
		w.m.PolicyChanged()
		w.lineIn("#room", "three")
		w.restart()
		w.join("a", "Alice")
		if got := w.kept("#room"); got != "one|three" {
			t.Errorf("the archive has %q", got)
		}
	})
}

// While the store cannot be read nothing in it is overwritten; once it can, what it
// says is done.
func TestAStoreThatCannotBeRead(t *testing.T) {
	scenario(t, func(w *world) {
		w.store.records["alice@home.example"] = Record{
			Accounts: []StoredAccount{{Network: "net"}},
			Rooms:    []RoomSetting{{Room: "#room%net@" + domain, Persistent: true, Password: "key"}},
		}
		w.store.failing(errors.New("database is locked"))
		w.from(ownerSet("#room", fieldLogging, "false"))
		w.expect(`type="error" & internal-server-error & could not be stored`)
		time.Sleep(time.Hour + time.Second)
		if w.driver.Net(0) != nil {
			t.Error("connected with nothing known of the user")
		}
		w.store.failing(nil)
		w.from(ownerSet("#room", fieldLogging, "false")) // the store works, but what it has is not known
		w.expect(`type="error" & internal-server-error`)
		time.Sleep(readAgain)
		w.called("join #room key")
		w.from(ownerSet("#room", fieldLogging, "false"))
		w.expect(`type="result" id="c2"`)
		if s := w.stored(); len(s) != 1 || !s[0].Persistent || s[0].Password != "key" || s[0].Record == nil {
			t.Errorf("stored is %+v", s)
		}
	})
}
