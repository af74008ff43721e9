package session

import (
	"context"
	"errors"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/component"
)

// listing is a network with a directory.
type listing struct {
	bridges.Network
	rooms []bridges.DirectoryEntry
	err   error
}

func (l *listing) Rooms(context.Context) ([]bridges.DirectoryEntry, error) { return l.rooms, l.err }

// connectedTo puts the user's link to a network with a directory in the place of
// the one there is.
func (w *world) connectedTo(l *listing) {
	w.t.Helper()
	if err := w.m.inside(context.Background(), w.user(), func(s *Session) {
		l.Network = s.links[0].net
		s.links[0].net = l
	}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) search(network bridges.NetworkID, q Query) (string, error) {
	found, err := w.m.Search(context.Background(), w.user(), network, q)
	var jids []string
	for _, f := range found {
		jids = append(jids, f.JID.String())
	}
	return strings.Join(jids, " "), err
}

func (w *world) finds(q Query, want string) {
	w.t.Helper()
	if got, err := w.search("", q); got != want || err != nil {
		w.t.Errorf("%+v found %q, %v; want %q", q, got, err, want)
	}
}

func (w *world) findsNothing(network bridges.NetworkID, q Query, kind bridges.ErrorKind) {
	w.t.Helper()
	got, err := w.search(network, q)
	var e *bridges.Error
	if got != "" || !errors.As(err, &e) || e.Kind != kind {
		w.t.Errorf("%+v found %q, %v", q, got, err)
	}
}

func TestSearch(t *testing.T) {
	scenario(t, func(w *world) {
		w.findsNothing("", Query{Words: "x"}, bridges.Offline)
		if w.m.Stats().Sessions != 0 {
			t.Error("a search has made a session")
		}
		w.join("a", "alice")
		w.findsNothing("", Query{Words: "x"}, bridges.Unsupported)
		l := &listing{rooms: []bridges.DirectoryEntry{
			{Name: "#Go", Members: 3, Subject: "The language"}, {Name: "#go-nuts", Members: 70, Subject: "go"}, {Name: "#rust", Members: 9, Subject: "no GO here"},
		}}
		w.connectedTo(l)
		w.finds(Query{Words: "GO"}, "#go-nuts%net@gw.example #rust%net@gw.example #go%net@gw.example")
		w.finds(Query{Words: "go language"}, "#go%net@gw.example")
		w.finds(Query{Words: "cobol"}, "")
		w.finds(Query{Nick: "Bob"}, "bob%net@gw.example")
		w.finds(Query{Nick: "nobody"}, "")
		w.finds(Query{Words: "rust", Nick: "bob"}, "#rust%net@gw.example bob%net@gw.example")
		w.findsNothing("other", Query{Words: "go"}, bridges.Offline)
		l.rooms, l.err = nil, bridges.NewError(bridges.RateLimited, "Later.")
		w.findsNothing("net", Query{Words: "go"}, bridges.RateLimited)
		w.finds(Query{Words: "go", Nick: "bob"}, "bob%net@gw.example") // what there is
		if _, err := w.m.Search(context.Background(), component.JID{Local: "eve", Domain: "home.example"}, "", Query{Words: "go"}); err == nil {
			t.Error("another user's connection was used")
		}
	})
}

// Profile implements bridges.Profiler.
func (l *listing) Profile(_ context.Context, user bridges.UserID) (bridges.Profile, error) {
	if user == "nobody" {
		return bridges.Profile{}, bridges.NewError(bridges.NotFound, "")
	}
	return bridges.Profile{Nick: string(user)}, nil
}

// finder is a network whose people can be searched for.
type finder struct{ *listing }

// FindPeople implements bridges.PeopleFinder.
func (f finder) FindPeople(_ context.Context, words string, limit int) ([]bridges.Profile, error) {
	if words != "capulet" || limit < 2 {
		return nil, f.err
	}
	return []bridges.Profile{{Nick: "Juliet Capulet", Address: "juliet"}, {Nick: "Tybalt"}}, f.err
}

// People are found by parts of what they are called, at the addresses they have.
func TestSearchPeople(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		l := &listing{}
		w.connectedTo(l)
		if err := w.m.inside(context.Background(), w.user(), func(s *Session) { s.links[0].net = finder{l} }); err != nil {
			t.Fatal(err)
		}
		w.finds(Query{Nick: " capulet "}, "juliet%net@gw.example tybalt%net@gw.example")
		w.finds(Query{Nick: "montague"}, "")
		l.err = bridges.NewError(bridges.RateLimited, "Later.")
		w.findsNothing("net", Query{Nick: "montague"}, bridges.RateLimited)
		w.finds(Query{Nick: "capulet"}, "juliet%net@gw.example tybalt%net@gw.example") // what there is
	})
}
