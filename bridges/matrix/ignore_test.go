package matrix

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// TestBlocked: whom the user blocks is on the account's list, beside what stood there, and
// nothing they say is reported; nor of whom another client has blocked, also after a
// restart.
func TestBlocked(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	alice, carol, mallory := srv.User("alice"), srv.User("carol"), srv.User("mallory")
	carol.Join(r)
	mallory.Join(r)
	alice.SetData(nil, "m.ignored_user_list", map[string]any{"ignored_users": map[string]any{mallory.ID: map[string]any{"since": 1}}, "strange": 7})
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	block := func(u *matrixtest.User, blocked bool) {
		t.Helper()
		ref := l.nextRef()
		l.ok(l.net.Block(ref, bridges.UserID(u.ID), blocked))
		want(l, "Done", func(d *bridges.Done) bool { return d.Ref == ref })
	}
	silent := func(u *matrixtest.User, text string) {
		t.Helper()
		u.Say(r, "unheard")
		u.Typing(r, true)
		bob.Say(r, text)
		l.heard(text)
		for _, ev := range l.all() {
			switch ev := ev.(type) {
			case *bridges.Message:
				if ev.Body == "unheard" {
					t.Errorf("%s is heard", ev.From.ID)
				}
			case *bridges.Typing:
				if ev.From.ID == bridges.UserID(u.ID) {
					t.Errorf("%s is shown to write", u.ID)
				}
			}
		}
	}
	silent(mallory, "one")
	block(carol, true)
	silent(carol, "two")
	if got := l.net.Blocked(); !slices.Equal(got, []string{carol.ID, mallory.ID}) {
		t.Errorf("blocked are %q", got)
	}
	carol.Direct(alice)
	block(carol, true) // a second time changes nothing
	var list struct {
		Users   map[string]map[string]any `json:"ignored_users"`
		Strange int                       `json:"strange"`
	}
	if err := json.Unmarshal(alice.Data(nil, "m.ignored_user_list"), &list); err != nil || len(list.Users) != 2 || list.Users[mallory.ID]["since"] != 1.0 || list.Strange != 7 {
		t.Errorf("the list is %s", alice.Data(nil, "m.ignored_user_list"))
	}
	l.stop()
	l.ended()

	l = openLink(t, srv, Config{}, l.kept).online()
	if e := l.join(r); slices.ContainsFunc(e.History, func(m *bridges.Message) bool { return m.Body == "unheard" }) {
		t.Error("what was unheard is in the history")
	}
	silent(carol, "three")
	block(carol, false)
	carol.Say(r, "heard again")
	l.heard("heard again")
	for _, ev := range l.all() {
		if c, ok := ev.(*bridges.Contact); ok && c.Asks {
			t.Errorf("who is blocked asks: %+v", c)
		}
	}
	ref := l.nextRef()
	l.ok(l.net.Block(ref, bridges.UserID(alice.ID), true))
	if f := want(l, "Failed", func(f *bridges.Failed) bool { return f.Ref == ref }); !strings.Contains(f.Err.Text, "yourself") {
		t.Errorf("failed with %+v", f.Err)
	}
}
