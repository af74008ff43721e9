package bridgetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"transportd/bridges"
)

// Fixture is a driver with a network of its own to be tested on.
type Fixture struct {
	Driver  bridges.Driver
	Account bridges.Account // accepted by the network
	Peer    Peer

	// Room and OtherRoom are names of rooms the account may enter, as written.
	Room, OtherRoom string
	// Addresses are local parts that name a network, rooms and people, odd
	// characters included. Strangers are local parts that name nothing.
	Addresses, Strangers []string
	// SameRooms and SameUsers are pairs of spellings of one name.
	SameRooms, SameUsers [][2]string
}

// Peer acts on the network's side: other people, and the network itself. Its
// methods return when what they do has reached the network.
type Peer interface {
	// Enter and Leave bring people into a room and out of it.
	Enter(room string, nicks ...string)
	Leave(room, nick string)
	// Rename changes a person's nick everywhere.
	Rename(nick, to string)
	// Say and Whisper speak: to a room, to the user.
	Say(room, nick, text string)
	Whisper(nick, text string)
	// Heard is what the user has said in a room, as the others got it.
	Heard(room string) []string
	// Refuse makes the network refuse the user's lines in a room.
	Refuse(room string)
	// Promote makes the network let the user, who is in a room, do everything there.
	Promote(room string)
	// Stall makes the network stop taking anything from the user.
	Stall()
	// Break ends the user's connection without a word.
	Break()
}

// Patience is how long the suite waits for what must come.
const Patience = 15 * time.Second

// Suite runs what every driver must pass. fixture is called once for each
// part, so that none sees what another has left.
func Suite(t *testing.T, fixture func(t *testing.T) Fixture) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Fixture)
	}{
		{"Addresses", testAddresses},
		{"Fields", testFields},
		{"Commands", testCommands},
		{"Folding", testFolding},
		{"Login", testLogin},
		{"Offline", testOffline},
		{"Entering", testEntering},
		{"MembersFollowEvents", testMembersFollow},
		{"EchoOnce", testEchoOnce},
		{"RefusedLine", testRefused},
		{"Subject", testSubject},
		{"Roles", testRoles},
		{"OrderWhileBusy", testOrder},
		{"QueueFull", testQueueFull},
		{"Capabilities", testCapabilities},
		{"Cancel", testCancel},
		{"CancelWhileStalled", testCancelStalled},
		{"CancelWhileSessionIsDeaf", testCancelDeaf},
		{"LinkLost", testLost},
		{"RunTwice", testRunTwice},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, fixture(t)) })
	}
}

func testAddresses(t *testing.T, f Fixture) {
	for _, local := range f.Addresses {
		a, err := f.Driver.Parse(local)
		if err != nil {
			t.Errorf("Parse(%q): %v", local, err)
			continue
		}
		if a.Kind == bridges.AddressNetwork && a.Name != "" || a.Kind != bridges.AddressNetwork && a.Name == "" {
			t.Errorf("Parse(%q) = %+v", local, a)
		}
		if back := f.Driver.Format(a); back != local {
			t.Errorf("Format(Parse(%q)) = %q", local, back)
		}
	}
	for _, local := range f.Strangers {
		a, err := f.Driver.Parse(local)
		var e *bridges.Error
		if !errors.As(err, &e) {
			t.Errorf("Parse(%q) = %+v, %v", local, a, err)
			continue
		}
		if e.Kind != bridges.NotFound && e.Kind != bridges.Forbidden || e.Text == "" {
			t.Errorf("Parse(%q): kind %d, %q", local, e.Kind, e.Text)
		}
	}
	if info := f.Driver.Info(); info.Type == "" || info.Name == "" || info.RoomType == "" || info.Prompt == "" {
		t.Errorf("Info is %+v", info)
	}
}

func testFields(t *testing.T, f Fixture) {
	for _, id := range []bridges.NetworkID{"", f.Account.Network} {
		seen, legacy := make(map[string]bool), make(map[string]bool)
		fields := f.Driver.Fields(id)
		if id == "" && (len(fields) == 0 || fields[0].Name != "network") {
			t.Error("the fields without a network do not begin with it")
		}
		for _, field := range fields {
			if field.Name == "" || field.Label == "" || seen[field.Name] {
				t.Errorf("field %+v", field)
			}
			if field.Legacy != "" && legacy[field.Legacy] {
				t.Errorf("two fields for %s", field.Legacy)
			}
			if field.Kind == bridges.FieldChoice && len(field.Options) == 0 {
				t.Errorf("nothing to choose for %s", field.Name)
			}
			if field.Kind == bridges.FieldSecret && field.Default != "" {
				t.Errorf("a secret %s with a default", field.Name)
			}
			seen[field.Name], legacy[field.Legacy] = true, true
		}
	}
}

func testFolding(t *testing.T, f Fixture) {
	w := start(t, f)
	for _, pair := range f.SameRooms {
		if a, b := w.net.RoomID(pair[0]), w.net.RoomID(pair[1]); a != b || w.net.RoomID(string(a)) != a {
			t.Errorf("rooms %q: %q, %q", pair, a, b)
		}
	}
	for _, pair := range f.SameUsers {
		if a, b := w.net.UserID(pair[0]), w.net.UserID(pair[1]); a != b || w.net.UserID(string(a)) != a {
			t.Errorf("people %q: %q, %q", pair, a, b)
		}
	}
}

func testLogin(t *testing.T, f Fixture) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	fresh := f.Account
	fresh.Settings = nil
	step, err := f.Driver.NewLogin(fresh).Answer(ctx, f.Account.Settings)
	if err != nil || !step.Done {
		t.Errorf("Answer: %+v, %v", step, err)
	}
	for _, field := range f.Driver.Fields(f.Account.Network) {
		if _, plain := step.Settings[field.Name]; plain && field.Kind == bridges.FieldSecret {
			t.Errorf("the secret %s is among what is not sealed", field.Name)
		}
	}
	cancel()
	var e *bridges.Error
	if _, err := f.Driver.NewLogin(fresh).Answer(ctx, f.Account.Settings); !errors.As(err, &e) || e.Kind != bridges.Timeout && e.Kind != bridges.Offline {
		t.Errorf("Answer under an ended context: %v", err)
	}
}

func testOffline(t *testing.T, f Fixture) {
	w := open(t, f)
	for name, err := range map[string]error{
		"Join":  w.net.Join(1, f.Room, bridges.JoinOptions{}),
		"Leave": w.net.Leave(2, w.net.RoomID(f.Room), ""),
		"Send":  w.net.Send(3, bridges.Place{Room: w.net.RoomID(f.Room)}, bridges.Outgoing{Body: "x"}),
	} {
		wantKind(t, name, err, bridges.Offline)
	}
	if self := w.net.Self(); self != (bridges.Member{}) {
		t.Errorf("Self is %+v before Online", self)
	}
	if _, _, ok := w.net.Members(w.net.RoomID(f.Room)); ok {
		t.Error("in a room before Online")
	}
	w.net.Capabilities(bridges.Place{Room: w.net.RoomID(f.Room)})
	if n := w.count(); n != 0 {
		t.Errorf("%d events without Run", n)
	}
}

func testCapabilities(t *testing.T, f Fixture) {
	w := start(t, f)
	w.join(f.Room)
	caps := w.net.Capabilities(bridges.Place{Room: w.net.RoomID(f.Room)})
	if _, can := w.net.(bridges.SubjectSetter); caps.Subject && !can {
		t.Error("subjects can be set, and there is no SubjectSetter")
	}
	if _, can := w.net.(bridges.RoleSetter); caps.Moderate && !can {
		t.Error("roles can be set, and there is no RoleSetter")
	}
	if caps.MaxLine < 0 {
		t.Errorf("MaxLine %d", caps.MaxLine)
	}
	person := w.net.Capabilities(bridges.Place{User: w.net.UserID("somebody")})
	if person.Subject || person.Moderate || person.Shared || person.Resident {
		t.Errorf("a person can be moderated: %+v", person)
	}
	testAbilities(t, w.net, &caps)
	testAbilities(t, w.net, &person)
}

// testAbilities checks that what a place can do has somebody to do it.
func testAbilities(t *testing.T, n bridges.Network, caps *bridges.Caps) {
	t.Helper()
	_, react := n.(bridges.Reactor)
	_, retract := n.(bridges.Retractor)
	_, typing := n.(bridges.Typist)
	_, read := n.(bridges.Reader)
	_, quit := n.(bridges.Quitter)
	for _, c := range []struct {
		name      string
		can, able bool
	}{
		{"React", caps.React, react}, {"Retract", caps.Retract, retract}, {"Typing", caps.Typing, typing},
		{"Read", caps.Read, read}, {"Resident", caps.Resident, quit},
	} {
		if c.can && !c.able {
			t.Errorf("%s is said to be possible, and the network lacks the ability", c.name)
		}
	}
}

func wantKind(t *testing.T, what string, err error, kind bridges.ErrorKind) {
	t.Helper()
	var e *bridges.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("%s: %v, want kind %d", what, err, kind)
	}
}
