package irc

import (
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/irctest"
)

// settingsOf are the settings of #room by name.
func settingsOf(t *testing.T, w *world) map[string]string {
	t.Helper()
	fields, err := w.net.RoomSettings(t.Context(), "#room")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range fields {
		if f.Label == "" || f.Help == "" {
			t.Errorf("nobody knows what %+v is", f)
		}
		out[f.Name] = f.Default
	}
	return out
}

// outcome is what an action came to: nil is Done.
func (w *world) outcome(ref bridges.Ref) (err *bridges.Error) {
	w.rec.next(w.t, "an outcome", func(ev bridges.Event) bool {
		if f, ok := ev.(*bridges.Failed); ok && f.Ref == ref {
			err = f.Err
			return true
		}
		d, ok := ev.(*bridges.Done)
		return ok && d.Ref == ref
	})
	return err
}

// TestRoomSettings: operators see a channel's modes as settings and change them; the
// room then says what it is like, once.
func TestRoomSettings(t *testing.T) {
	for _, cfg := range []irctest.Config{{}, {NoCap: true}} {
		w := opped(t, cfg)
		want(t, w, "what the room is like", func(i *bridges.RoomInfo) bool { return i.Room == "#room" && i.Public && i.Open && !i.Moderated })
		now := settingsOf(t, w)
		for name, value := range map[string]string{
			bridges.RoomPublic: "true", bridges.RoomMembersOnly: "false", bridges.RoomModerated: "false",
			bridges.RoomPassword: "", bridges.RoomLimit: "",
		} {
			if got, there := now[name]; !there || got != value {
				t.Errorf("%s is %q", name, got)
			}
		}
		for _, step := range []map[string]string{
			{bridges.RoomModerated: "true", bridges.RoomPublic: "false", bridges.RoomMembersOnly: "true", bridges.RoomFreeSubject: "false",
				bridges.RoomPassword: "Sesame", bridges.RoomLimit: "20"},
			{bridges.RoomPassword: "Mellon", bridges.RoomLimit: "30"},
			{bridges.RoomPassword: "", bridges.RoomLimit: "", bridges.RoomModerated: "false", bridges.RoomFreeSubject: "true"},
			{bridges.RoomModerated: "false"}, // as it is
		} {
			ref := w.nextRef()
			w.ok(w.net.ConfigureRoom(ref, "#room", step))
			if err := w.outcome(ref); err != nil {
				t.Fatalf("%v: %s", step, err.Text)
			}
			now := settingsOf(t, w)
			for name, value := range step {
				if now[name] != value {
					t.Errorf("after %v %s is %q", step, name, now[name])
				}
			}
		}
		told := 0
		for _, ev := range w.rec.since(0) {
			if i, ok := ev.(*bridges.RoomInfo); ok {
				if told++; told > 1 && (i.Public || i.Open) {
					t.Errorf("the room is said to be %+v", i)
				}
			}
		}
		if told < 4 || told > 5 { // at first, and after each change; the key alone may go before the limit
			t.Errorf("told %d times", told)
		}
		w.srv.SetMode("#room", "+m", "")
		want(t, w, "moderation", func(i *bridges.RoomInfo) bool { return i.Moderated })
	}
}

// TestRoomSettingsRefused: what no server takes is refused with the reason, and so is
// whoever is no operator.
func TestRoomSettingsRefused(t *testing.T) {
	w := opped(t, irctest.Config{})
	want(t, w, "what the room is like", func(i *bridges.RoomInfo) bool { return i.Room == "#room" })
	for name, value := range map[string]string{bridges.RoomPassword: "two words", bridges.RoomLimit: "many"} {
		if err := w.net.ConfigureRoom(w.nextRef(), "#room", map[string]string{name: value}); bridges.AsError(err).Kind != bridges.Invalid {
			t.Errorf("%s %q: %v", name, value, err)
		}
	}
	if err := w.net.ConfigureRoom(w.nextRef(), "#other", nil); bridges.AsError(err).Kind != bridges.NotJoined {
		t.Errorf("elsewhere: %v", err)
	}
	w.srv.SetMode("#room", "-o", "alice")
	want(t, w, "no operator", func(u *bridges.Updated) bool { return u.Self })
	if now := settingsOf(t, w); len(now) != 0 {
		t.Errorf("a member may set %v", now)
	}
	ref := w.nextRef()
	w.ok(w.net.ConfigureRoom(ref, "#room", map[string]string{bridges.RoomModerated: "true"}))
	if err := w.outcome(ref); err == nil || err.Kind != bridges.Forbidden || !strings.Contains(err.Text, "operator") {
		t.Errorf("refused with %+v", err)
	}
}
