package matrix

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// People are found in the homeserver's directory, by parts of what they are called.
func TestFindPeople(t *testing.T) {
	srv := matrixtest.New(t)
	bob := srv.User("bob")
	bob.SetName("Robert of the garden")
	srv.User("carol").SetName("Carol of the garden")
	l := openLink(t, srv, Config{}, nil).online()
	find := func(words string, limit int) (ids []string) {
		t.Helper()
		found, err := l.net.FindPeople(t.Context(), words, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range found {
			ids = append(ids, p.Address+" "+p.Nick)
		}
		slices.Sort(ids)
		return ids
	}
	both := []string{"@bob:hs.test Robert of the garden", "@carol:hs.test Carol of the garden"}
	for words, want := range map[string][]string{"garden": both, "robert": both[:1], bob.ID: both[:1], "nobody": nil, "@nobody:hs.test": nil} {
		if got := find(words, 10); !slices.Equal(got, want) {
			t.Errorf("%q finds %q, want %q", words, got, want)
		}
	}
	if got := find("garden", 1); len(got) != 1 {
		t.Errorf("one is asked for, and there are %q", got)
	}
	// What a server makes of it is not believed.
	srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/user_directory/search", Rewrite: func([]byte) []byte {
		return []byte(`{"results":[null,{"user_id":7},{"user_id":"#room:hs.test"},{"user_id":"@x:hs.test","display_name":7},{"user_id":"@x:hs.test"}]}`)
	}})
	if got := find("garden", 10); !slices.Equal(got, []string{"@x:hs.test @x:hs.test"}) {
		t.Errorf("of garbage remains %q", got)
	}
}

// A homeserver that begins a page with what it has told before tells nothing twice.
func TestHistoryOverlaps(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	var said []string
	last := ""
	for i := range 30 {
		said = append(said, fmt.Sprint("line ", i))
		last = bob.Say(r, said[i])
	}
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	var told any = map[string]any{"type": "m.room.message", "event_id": last, "room_id": r.ID, "sender": bob.ID, "origin_server_ts": 1,
		"content": map[string]any{"msgtype": "m.text", "body": said[29]}}
	srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/messages", Rewrite: func(raw []byte) []byte {
		var page map[string]any
		if err := json.Unmarshal(raw, &page); err != nil {
			t.Error(err)
			return raw
		}
		chunk := append([]any{told, nil}, page["chunk"].([]any)...)
		page["chunk"], told = chunk, chunk[len(chunk)-1]
		raw, err := json.Marshal(page)
		if err != nil {
			t.Error(err)
		}
		return raw
	}})
	lines, more, err := l.net.History(t.Context(), inRoom(r), bridges.MessageID(last), 20)
	if err != nil || !more {
		t.Fatalf("%v, more %v", err, more)
	}
	var got []string
	for _, m := range lines {
		got = append(got, m.Body)
	}
	if len(got) < 20 || !slices.Equal(got, said[29-len(got):29]) {
		t.Errorf("before the last there are %q", got)
	}
}
