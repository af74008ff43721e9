package matrix

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// cameTo is what an action came to: nil is Done.
func (l *linked) cameTo(ref bridges.Ref) (err *bridges.Error) {
	l.t.Helper()
	want(l, "an outcome", func(ev bridges.Event) bool {
		switch ev := ev.(type) {
		case *bridges.Failed:
			err = ev.Err
			return ev.Ref == ref
		case *bridges.Done:
			err = nil
			return ev.Ref == ref
		}
		return false
	})
	return err
}

// madeRoom is a room of alice's that bob is in.
func madeRoom(srv *matrixtest.Server, o matrixtest.RoomOptions) (bob *matrixtest.User, r *matrixtest.Room) {
	bob = srv.User("bob")
	o.Invite = []string{bob.ID}
	r = srv.User("alice").Create(o)
	bob.Join(r)
	return bob, r
}

func (l *linked) settingsOf(r *matrixtest.Room) map[string]bridges.Field {
	l.t.Helper()
	fields, err := l.net.RoomSettings(l.t.Context(), bridges.RoomID(r.ID))
	l.ok(err)
	out := map[string]bridges.Field{}
	for _, f := range fields {
		out[f.Name] = f
	}
	return out
}

func (l *linked) configure(r *matrixtest.Room, changes map[string]string) *bridges.Error {
	l.t.Helper()
	ref := l.nextRef()
	l.ok(l.net.ConfigureRoom(ref, bridges.RoomID(r.ID), changes))
	return l.cameTo(ref)
}

// TestRoomSettings: who may change a room's state sees it as settings, changes it, and
// is told what has become of the room, once.
func TestRoomSettings(t *testing.T) {
	srv := matrixtest.New(t)
	_, r := madeRoom(srv, matrixtest.RoomOptions{Name: "Room", Version: "10"})
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	now := l.settingsOf(r)
	for name, value := range map[string]string{
		bridges.RoomTitle: "Room", bridges.RoomDescription: "", setJoinRule: "invite", setHistory: "shared", setEncryption: "false",
	} {
		if now[name].Default != value || now[name].Label == "" || strings.Contains(now[name].Help, "may not") {
			t.Errorf("%s is %+v", name, now[name])
		}
	}
	if got := now[setJoinRule].Options; !slices.Equal(got, []string{"public", "invite", "knock"}) {
		t.Errorf("one may choose of %q", got)
	}
	changes := map[string]string{
		bridges.RoomTitle: "Ours", bridges.RoomDescription: "what\nit is", setJoinRule: "knock", setHistory: "joined", setEncryption: "true",
	}
	if err := l.configure(r, changes); err != nil {
		t.Fatalf("refused with %+v", err)
	}
	now = l.settingsOf(r)
	for name, value := range changes {
		if now[name].Default != value {
			t.Errorf("%s has become %q", name, now[name].Default)
		}
	}
	for typ, want := range map[string]string{
		"m.room.name": `{"name":"Ours"}`, "m.room.topic": `{"topic":"what\nit is"}`, "m.room.join_rules": `{"join_rule":"knock"}`,
		"m.room.history_visibility": `{"history_visibility":"joined"}`, "m.room.encryption": `{"algorithm":"m.megolm.v1.aes-sha2"}`,
	} {
		if got := string(r.State(typ, "").Content); got != want {
			t.Errorf("%s is %s", typ, got)
		}
	}
	// The echoes bring nothing new.
	srv.User("alice").State(r, "m.room.name", "", map[string]any{"name": "Last"})
	want(l, "the last name", func(i *bridges.RoomInfo) bool { return i.Name == "Last" })
	var infos, subjects, notes int
	for _, ev := range l.all() {
		switch ev := ev.(type) {
		case *bridges.RoomInfo:
			infos++
			if i := *ev; i.Name == "Last" && (!i.Knock || i.Open || i.Public || i.Description != "what\nit is") {
				t.Errorf("the room is %+v", i)
			}
		case *bridges.SubjectChanged:
			subjects++
		case *bridges.Message:
			notes++
		}
	}
	if infos != 6 || subjects != 1 || notes != 1 { // a setting each, and the last name
		t.Errorf("told %d times of the room, %d of the subject, %d notes", infos, subjects, notes)
	}
	if err := l.configure(r, map[string]string{setEncryption: "false"}); err == nil || err.Kind != bridges.Forbidden || !strings.Contains(err.Text, "switched off") {
		t.Errorf("encryption is switched off: %+v", err)
	}
	if err := l.configure(r, map[string]string{setJoinRule: "restricted"}); err == nil || err.Kind != bridges.Invalid {
		t.Errorf("a rule that needs a list of rooms: %+v", err)
	}
	if err := l.configure(r, map[string]string{bridges.RoomTitle: "Last"}); err != nil {
		t.Errorf("as it is: %+v", err)
	}
}

// TestRoomSettingsOfOthers: what the user may not change is refused in words, before
// anything else is changed; who may change nothing is shown nothing.
func TestRoomSettingsOfOthers(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	if now := l.settingsOf(r); len(now) != 0 {
		t.Errorf("a member is shown %v", now)
	}
	if err := l.configure(r, map[string]string{bridges.RoomTitle: "Mine"}); err == nil || err.Kind != bridges.Forbidden || !strings.Contains(err.Text, "Name") {
		t.Errorf("a member names the room: %+v", err)
	}
	var levels map[string]any
	if err := json.Unmarshal(r.State("m.room.power_levels", "").Content, &levels); err != nil {
		t.Fatal(err)
	}
	levels["users"].(map[string]any)[srv.User("alice").ID] = 50
	bob.State(r, "m.room.power_levels", "", levels)
	want(l, "power", func(u *bridges.Updated) bool { return u.Self && u.Member.Role == bridges.RoleModerator })
	now := l.settingsOf(r)
	if strings.Contains(now[bridges.RoomTitle].Help, "may not") || !strings.Contains(now[setHistory].Help, "may not") {
		t.Errorf("shown are %+v", now)
	}
	if err := l.configure(r, map[string]string{bridges.RoomTitle: "Mine", setHistory: "joined"}); err == nil || err.Kind != bridges.Forbidden {
		t.Errorf("the history: %+v", err)
	}
	if got := l.settingsOf(r)[bridges.RoomTitle].Default; got != "Room" {
		t.Errorf("half of it was done: the name is %q", got)
	}
	if err := l.configure(r, map[string]string{bridges.RoomTitle: "Mine"}); err != nil {
		t.Errorf("the name: %+v", err)
	}
	// What the homeserver knows better is its word.
	srv.Inject(matrixtest.Fault{Method: "PUT", Path: "/state/m.room.name", Status: 403, Code: "M_FORBIDDEN", Text: "You are not trusted with names"})
	if err := l.configure(r, map[string]string{bridges.RoomTitle: "Again"}); err == nil || err.Kind != bridges.Forbidden || !strings.Contains(err.Text, "trusted with names") {
		t.Errorf("refused with %+v", err)
	}
}

// TestRestrictedStays: the rooms whose members may enter stay listed.
func TestRestrictedStays(t *testing.T) {
	srv := matrixtest.New(t)
	_, r := madeRoom(srv, matrixtest.RoomOptions{Name: "Room", Version: "10"})
	allow := []any{map[string]any{"type": "m.room_membership", "room_id": "!other:hs.test"}}
	srv.User("alice").State(r, "m.room.join_rules", "", map[string]any{"join_rule": "restricted", "allow": allow})
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	if got := l.settingsOf(r)[setJoinRule].Options; !slices.Equal(got, []string{"public", "invite", "knock", "restricted", "knock_restricted"}) {
		t.Errorf("one may choose of %q", got)
	}
	if err := l.configure(r, map[string]string{setJoinRule: "knock_restricted"}); err != nil {
		t.Fatalf("refused with %+v", err)
	}
	if got := string(r.State("m.room.join_rules", "").Content); !strings.Contains(got, `"knock_restricted"`) || !strings.Contains(got, "!other:hs.test") {
		t.Errorf("the rule is %s", got)
	}
}
