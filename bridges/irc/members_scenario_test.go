package irc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/internal/irctest"
)

// scripted makes a world whose server leaves JOIN to the test.
func scripted(t *testing.T, cfg irctest.Config) *world {
	return open(t, setup{server: cfg, hooks: func(s *irctest.Server) {
		s.Hook("JOIN", func(*irctest.Client, irctest.Msg) bool { return true })
	}})
}

// Somebody else's JOIN, a PART and a line between our own JOIN and the end of
// the names change neither who we are nor who is in.
func TestJoinMixedWithOthers(t *testing.T) {
	w := scripted(t, irctest.Config{NoCap: true})
	ref := w.nextRef()
	w.ok(w.net.Join(ref, "#room", bridges.JoinOptions{}))
	w.me.Expect(t, `^JOIN #room`)
	for _, line := range []string{
		":alice!a@h JOIN #room",
		":newcomer!n@h JOIN #room",
		":irc.test 353 alice = #room :@op +voiced leaver",
		":leaver!l@h PART #room",
		":newcomer!n@h PRIVMSG #room :early words",
		":irc.test 353 alice = #room :alice newcomer other",
		":other!o@h NICK another",
		":irc.test 366 alice #room :End of /NAMES list.",
	} {
		w.me.Send("%s", line)
	}
	e := want(t, w, "Entered", func(e *bridges.Entered) bool { return e.Ref == ref })
	m := memberNicks(e.Members)
	if e.Self.Nick != "alice" || len(m) != 4 || m["op"].Role != bridges.RoleModerator ||
		m["voiced"].Affiliation != bridges.AffiliationMember || m["newcomer"].Mask != "n@h" || m["another"].Nick == "" {
		t.Errorf("entered %s", describe(e))
	}
	line := want(t, w, "the early line", func(m *bridges.Message) bool { return true })
	if line.Body != "early words" || line.From.Nick != "newcomer" {
		t.Errorf("line %s", describe(line))
	}
	w.fence()
	for _, ev := range w.rec.since(0) {
		switch ev.(type) {
		case *bridges.Joined, *bridges.Left:
			t.Errorf("told of what Entered holds: %s", describe(ev))
		}
	}
}

func TestJoinWithoutEndOfNames(t *testing.T) {
	w := scripted(t, irctest.Config{NoCap: true})
	ref := w.nextRef()
	w.srv.Hook("NAMES", func(c *irctest.Client, m irctest.Msg) bool { return true })
	w.srv.Hook("JOIN", func(c *irctest.Client, m irctest.Msg) bool {
		c.Send(":alice!a@h JOIN #room")
		c.Send(":irc.test 353 alice = #room :alice bob")
		return true
	})
	w.ok(w.net.Join(ref, "#room", bridges.JoinOptions{}))
	e := want(t, w, "Entered", func(e *bridges.Entered) bool { return e.Ref == ref })
	if len(e.Members) != 1 {
		t.Errorf("entered %s", describe(e))
	}
	silent := w.nextRef()
	w.net.mu.Lock()
	w.net.grace = time.Millisecond
	w.net.mu.Unlock()
	w.srv.Hook("JOIN", func(c *irctest.Client, m irctest.Msg) bool { return true })
	w.ok(w.net.Join(silent, "#silent", bridges.JoinOptions{}))
	if err := w.failed(silent); err.Kind != bridges.Timeout {
		t.Errorf("silence: %+v", err)
	}
}

// Every refusal of a join reaches the one who asked.
func TestRefusedJoins(t *testing.T) {
	for code, kind := range map[string]bridges.ErrorKind{
		"403": bridges.NotFound, "405": bridges.TooManyRooms, "437": bridges.TemporaryRefuse, "448": bridges.Forbidden,
		"471": bridges.RoomFull, "473": bridges.MembersOnly, "474": bridges.IsBanned, "475": bridges.PasswordRequired,
		"476": bridges.Invalid, "477": bridges.NeedsAccount, "479": bridges.Invalid, "480": bridges.Forbidden,
		"485": bridges.Forbidden, "489": bridges.Forbidden, "495": bridges.RateLimited, "500": bridges.RateLimited,
		"520": bridges.Forbidden, "926": bridges.Forbidden,
	} {
		t.Run(code, func(t *testing.T) {
			w := open(t, setup{server: irctest.Config{NoCap: true}, hooks: func(s *irctest.Server) {
				s.Hook("JOIN", func(c *irctest.Client, m irctest.Msg) bool {
					c.Numeric(code, m.Param(0), "You shall not pass")
					return true
				})
			}})
			ref := w.nextRef()
			w.ok(w.net.Join(ref, "#Closed", bridges.JoinOptions{}))
			if err := w.failed(ref); err.Kind != kind || err.Text != "You shall not pass" {
				t.Errorf("kind %d, text %q", err.Kind, err.Text)
			}
		})
	}
}

func TestForwardedJoin(t *testing.T) {
	w := scripted(t, irctest.Config{})
	ref := w.nextRef()
	w.ok(w.net.Join(ref, "#door", bridges.JoinOptions{}))
	w.me.Expect(t, `JOIN #door`)
	w.me.Send(":irc.test 470 alice #door ##hall :Forwarding to another channel")
	w.me.Send(":alice!a@h JOIN ##hall * :Alice")
	w.me.Send(":irc.test 366 alice ##hall :End")
	e := want(t, w, "Entered", func(e *bridges.Entered) bool { return e.Ref == ref })
	if e.Asked != "#door" || e.Room != "##hall" {
		t.Errorf("entered %s", describe(e))
	}
}

func TestForcedJoinAndPart(t *testing.T) {
	w := open(t, setup{})
	w.srv.Puppet("bob").Do("JOIN #pit")
	w.srv.ForceJoin("alice", "#pit")
	e := want(t, w, "Entered", func(e *bridges.Entered) bool { return true })
	if e.Ref != 0 || e.Asked != "" || e.Room != "#pit" || len(e.Members) != 1 {
		t.Errorf("entered %s", describe(e))
	}
	w.me.Send(":alice!a@h PART #PIT :by the operators")
	l := want(t, w, "Left", func(l *bridges.Left) bool { return l.Self })
	if l.Ref != 0 || l.Kind != bridges.Parted || l.Reason != "by the operators" {
		t.Errorf("left %s", describe(l))
	}
	if _, _, ok := w.net.Members("#pit"); ok {
		t.Error("still in")
	}
}

func TestLeaving(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("bob")
	bob.Do("JOIN #room")
	w.join("#room")
	bob.Do("PART #room :enough")
	l := want(t, w, "Left", func(l *bridges.Left) bool { return l.Member.Nick == "bob" })
	if l.Kind != bridges.Parted || l.Reason != "enough" || l.Member.ID != "bob" {
		t.Errorf("left %s", describe(l))
	}
	ref := w.nextRef()
	w.ok(w.net.Leave(ref, "#room", "good night"))
	l = want(t, w, "Left", func(l *bridges.Left) bool { return l.Self })
	if l.Ref != ref || l.Reason != "good night" {
		t.Errorf("left %s", describe(l))
	}
	if err := bridges.AsError(w.net.Leave(w.nextRef(), "#room", "")); err.Kind != bridges.NotJoined {
		t.Errorf("twice: %v", err)
	}
	if err := bridges.AsError(w.net.Send(w.nextRef(), bridges.Place{Room: "#room"}, bridges.Outgoing{Body: "x"})); err.Kind != bridges.NotJoined {
		t.Errorf("speaking outside: %v", err)
	}
}

// A KICK without a reason removes the member like any other, and one that
// follows a ban is told as such.
func TestKicks(t *testing.T) {
	w := open(t, setup{})
	for _, nick := range []string{"op", "bob", "carol"} {
		w.srv.Puppet(nick).Do("JOIN #room")
	}
	w.join("#room")
	w.me.Send(":op!o@h KICK #room BOB")
	l := want(t, w, "Left", func(l *bridges.Left) bool { return l.Member.Nick == "bob" })
	if l.Kind != bridges.Kicked || l.Actor != "op" || l.Reason != "" {
		t.Errorf("left %s", describe(l))
	}
	if _, ok := w.net.Member("#room", "bob"); ok {
		t.Error("bob is still a member")
	}
	w.me.Send(":op!o@h MODE #room +b Carol!*@*")
	w.me.Send(":op!o@h KICK #room carol :and stay out")
	l = want(t, w, "Left", func(l *bridges.Left) bool { return l.Member.Nick == "carol" })
	if l.Kind != bridges.Banned || l.Reason != "and stay out" {
		t.Errorf("left %s", describe(l))
	}
	w.me.Send(":op!o@h KICK #room Alice :you too")
	l = want(t, w, "Left", func(l *bridges.Left) bool { return l.Self })
	if l.Kind != bridges.Kicked || l.Actor != "op" || l.Reason != "you too" {
		t.Errorf("left %s", describe(l))
	}
}

// A mode whose argument is no member does not stop the ones behind it.
func TestModesOfAllKinds(t *testing.T) {
	w := open(t, setup{server: irctest.Config{ISupport: []string{"PREFIX=(Yqaohv)!~&@%+", "CHANMODES=beI,k,lJ,imnpstz"}}})
	w.srv.Puppet("op").Do("JOIN #room")
	w.srv.Puppet("bob").Do("JOIN #room")
	w.join("#room")
	type standing struct {
		role bridges.Role
		aff  bridges.Affiliation
	}
	for _, step := range []struct {
		line string
		want standing
		rest string
	}{
		{"+bv *!*@evil BOB", standing{bridges.RoleParticipant, bridges.AffiliationMember}, "+b *!*@evil"},
		{"+kh secret bob", standing{bridges.RoleModerator, bridges.AffiliationMember}, "+k secret"},
		{"-h+o bob bob", standing{bridges.RoleModerator, bridges.AffiliationAdmin}, ""},
		{"+a bob", standing{bridges.RoleModerator, bridges.AffiliationOwner}, ""},
		{"-a+Y bob bob", standing{bridges.RoleModerator, bridges.AffiliationOwner}, ""},
		{"-Yo+lJ bob bob 5 3:5", standing{bridges.RoleParticipant, bridges.AffiliationMember}, "+l 5 +J 3:5"},
		{"-v-lJ+X bob", standing{bridges.RoleParticipant, bridges.AffiliationNone}, "-l -J +X"},
		{"+m", standing{bridges.RoleVisitor, bridges.AffiliationNone}, "+m"},
		{"+v bob", standing{bridges.RoleParticipant, bridges.AffiliationMember}, ""},
		{"-vm bob", standing{bridges.RoleParticipant, bridges.AffiliationNone}, "-m"},
	} {
		w.me.Send(":op!o@h MODE #ROOM %s", step.line)
		if step.rest != "" {
			m := want(t, w, "ModeChanged of "+step.line, func(*bridges.ModeChanged) bool { return true })
			if m.Text != step.rest || m.Actor != "op" {
				t.Errorf("%s: told %q by %q", step.line, m.Text, m.Actor)
			}
		}
		w.fence()
		m, ok := w.net.Member("#room", "bob")
		if !ok || (standing{m.Role, m.Affiliation}) != step.want {
			t.Errorf("%s: bob is %+v", step.line, m)
		}
	}
	w.me.Send(":op!o@h MODE #room +o alice")
	u := want(t, w, "Updated self", func(u *bridges.Updated) bool { return u.Self && u.Actor == "op" })
	if u.Member.Affiliation != bridges.AffiliationAdmin {
		t.Errorf("self %s", describe(u))
	}
}

func TestQuitSplitAndReturn(t *testing.T) {
	w := open(t, setup{})
	var nicks []string
	for i := range 20 {
		nick := fmt.Sprintf("User%d", i)
		nicks = append(nicks, nick)
		p := w.srv.Puppet(nick)
		p.Do("JOIN #one")
		p.Do("JOIN #two")
	}
	w.join("#one")
	w.join("#two")
	w.me.Send(":USER3!u@h QUIT :gone") // spelt otherwise
	for range 2 {
		l := want(t, w, "Left", func(l *bridges.Left) bool { return l.Member.ID == "user3" })
		if l.Kind != bridges.Quit || l.Reason != "gone" {
			t.Errorf("left %s", describe(l))
		}
	}
	w.srv.Split("a.test b.test", nicks[4:]...)
	for range 2 * len(nicks[4:]) {
		want(t, w, "Left", func(l *bridges.Left) bool { return l.Kind == bridges.Quit && l.Reason == "a.test b.test" })
	}
	if _, others, _ := w.net.Members("#one"); len(others) != 3 {
		t.Errorf("left in #one: %v", others)
	}
	w.me.Send(":User5!u@h JOIN #one")
	want(t, w, "Joined", func(j *bridges.Joined) bool { return j.Member.Nick == "User5" && j.Room == "#one" })
}

func TestNickChanges(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("bob")
	bob.Do("JOIN #room")
	w.srv.SetMode("#room", "+v", "bob")
	e := w.join("#room")
	before := memberNicks(e.Members)["bob"].Identity
	for _, now := range []string{"Robert", "ROBERT"} { // the second is a change of spelling only
		bob.Do("NICK " + now)
		r := want(t, w, "Renamed in the room", func(r *bridges.Renamed) bool { return r.Room == "#room" && r.Member.Nick == now })
		if string(r.Member.ID) != strings.ToLower(now) || r.Member.Identity != before || r.Member.Role != bridges.RoleModerator && r.Member.Affiliation == bridges.AffiliationNone {
			t.Errorf("renamed %s", describe(r))
		}
		want(t, w, "Renamed at large", func(r *bridges.Renamed) bool { return r.Room == "" && r.Member.Nick == now })
	}
	ref := w.nextRef()
	w.ok(w.net.Rename(ref, "Alicia"))
	want(t, w, "Renamed in the room", func(r *bridges.Renamed) bool { return r.Self && r.Room == "#room" })
	r := want(t, w, "Renamed", func(r *bridges.Renamed) bool { return r.Self && r.Room == "" })
	if r.Ref != ref || r.OldID != "alice" || r.Member.ID != "alicia" || w.net.Self().Nick != "Alicia" {
		t.Errorf("renamed %s", describe(r))
	}
	ref = w.nextRef()
	w.ok(w.net.Rename(ref, "robert"))
	if err := w.failed(ref); err.Kind != bridges.Conflict {
		t.Errorf("taken: %+v", err)
	}
	w.srv.ForceNick("Alicia", "Guest1")
	r = want(t, w, "forced Renamed", func(r *bridges.Renamed) bool { return r.Self && r.Room == "" })
	if r.Ref != 0 || r.Member.Nick != "Guest1" {
		t.Errorf("renamed %s", describe(r))
	}
}

func TestPeopleChange(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("bob")
	bob.Do("JOIN #room")
	w.join("#room")
	updated := func(what string, fits func(bridges.Member) bool) {
		t.Helper()
		want(t, w, what, func(u *bridges.Updated) bool { return u.Member.Nick == "bob" && fits(u.Member) })
	}
	w.srv.SetAccount("bob", "Robert")
	updated("account", func(m bridges.Member) bool { return m.Account == "Robert" && m.Identity == "account Robert" })
	w.srv.SetHost("bob", "b", "cloak.test")
	updated("host", func(m bridges.Member) bool { return m.Mask == "b@cloak.test" })
	bob.Do("AWAY :tea")
	updated("away", func(m bridges.Member) bool { return m.Away })
	bob.Do("AWAY")
	updated("back", func(m bridges.Member) bool { return !m.Away })
	w.ok(w.net.SetAway(true, "lunch"))
	want(t, w, "self away", func(u *bridges.Updated) bool { return u.Self && u.Member.Away })
	w.ok(w.net.SetAway(false, ""))
	want(t, w, "self back", func(u *bridges.Updated) bool { return u.Self && !u.Member.Away })
}

func TestServerChangesItsMind(t *testing.T) {
	w := open(t, setup{})
	w.srv.Puppet("op").Do("JOIN #room[1]")
	w.join("#room[1]")
	w.srv.SetISupport("PREFIX=(ov)@+")
	w.fence()
	if m, _ := w.net.Member("#room[1]", "op"); m.Affiliation != bridges.AffiliationAdmin {
		t.Errorf("after PREFIX changed op is %+v", m)
	}
	w.srv.SetISupport("CASEMAPPING=rfc1459")
	e := want(t, w, "Entered again", func(e *bridges.Entered) bool { return true })
	if e.Room != "#room{1}" || len(e.Members) != 1 || w.net.RoomID("#ROOM[1]") != "#room{1}" {
		t.Errorf("entered %s", describe(e))
	}
}

func TestChannelRename(t *testing.T) {
	w := open(t, setup{})
	w.srv.Puppet("op").Do("JOIN #old")
	w.join("#old")
	w.me.Send(":op!o@h RENAME #old #new :better name")
	l := want(t, w, "Left", func(l *bridges.Left) bool { return l.Self })
	e := want(t, w, "Entered", func(e *bridges.Entered) bool { return true })
	if l.Room != "#old" || e.Room != "#new" || len(e.Members) != 1 || !strings.Contains(l.Reason, "#new") {
		t.Errorf("%s, %s", describe(l), describe(e))
	}
}

func TestTenThousandMembers(t *testing.T) {
	w := scripted(t, irctest.Config{NoCap: true})
	ref := w.nextRef()
	w.ok(w.net.Join(ref, "#big", bridges.JoinOptions{}))
	w.me.Expect(t, `^JOIN #big`)
	w.me.Send(":alice!a@h JOIN #big")
	for i := 0; i < 10000; i += 20 {
		var names []string
		for j := range 20 {
			names = append(names, fmt.Sprintf("+user%05d", (i+j)*7919%10000))
		}
		w.me.Send(":irc.test 353 alice = #big :%s", strings.Join(names, " "))
	}
	w.me.Send(":irc.test 366 alice #big :End")
	e := want(t, w, "Entered", func(e *bridges.Entered) bool { return e.Ref == ref })
	if len(e.Members) != 10000 {
		t.Errorf("%d members", len(e.Members))
	}
	if m, ok := w.net.Member("#big", "user07777"); !ok || m.Affiliation != bridges.AffiliationMember {
		t.Errorf("one of them: %+v %t", m, ok)
	}
}

// ngIRCd has one numeric for a full channel and for one of registered users.
func TestRefusedForWantOfAnAccount(t *testing.T) {
	w := open(t, setup{server: irctest.Config{NoCap: true}, hooks: func(s *irctest.Server) {
		s.Hook("JOIN", func(c *irctest.Client, m irctest.Msg) bool {
			c.Numeric("471", m.Param(0), "Cannot join channel (+R) -- Registered users only")
			return true
		})
	}})
	ref := w.nextRef()
	w.ok(w.net.Join(ref, "#members", bridges.JoinOptions{}))
	if err := w.failed(ref); err.Kind != bridges.NeedsAccount {
		t.Errorf("kind %d, text %q", err.Kind, err.Text)
	}
}
