package matrixtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// client is a client of another hand, logged in.
type client struct {
	*mautrix.Client
	t    *testing.T
	user *User
	next string // since
}

func dial(t *testing.T, s *Server) *mautrix.Client {
	t.Helper()
	c, err := mautrix.NewClient(s.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Client = s.Client()
	c.DefaultHTTPRetries = 0
	return c
}

func login(t *testing.T, s *Server, name string) *client {
	t.Helper()
	c := dial(t, s)
	u := s.User(name)
	_, err := c.Login(t.Context(), &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: name},
		Password: u.Password, StoreCredentials: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &client{Client: c, t: t, user: u}
}

// sync goes on from where it was, and waits for news.
func (c *client) sync(filter ...string) *mautrix.RespSync {
	c.t.Helper()
	req := mautrix.ReqSync{Since: c.next, Timeout: 20000, SetPresence: event.PresenceOffline}
	if len(filter) > 0 {
		req.FilterID = filter[0]
	}
	r, err := c.FullSyncRequest(c.t.Context(), req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.next = r.NextBatch
	return r
}

// polled is how a sync in the background ended.
type polled struct {
	resp *mautrix.RespSync
	err  error
}

// poll waits for news in the background.
func (c *client) poll() <-chan polled {
	done := make(chan polled, 1)
	req := mautrix.ReqSync{Since: c.next, Timeout: 60000, SetPresence: event.PresenceOffline}
	go func() {
		resp, err := c.FullSyncRequest(c.t.Context(), req)
		done <- polled{resp, err}
	}()
	return done
}

// room is what the next sync has of a room the user is in.
func (c *client) room(r *Room, filter ...string) *mautrix.SyncJoinedRoom {
	c.t.Helper()
	resp := c.sync(filter...)
	j := resp.Rooms.Join[id.RoomID(r.ID)]
	if j == nil {
		c.t.Fatalf("the sync has nothing of the room: %+v", resp.Rooms)
	}
	return j
}

// bodies are the texts of events, of state events their types.
func bodies(list []*event.Event) []string {
	out := []string{}
	for _, e := range list {
		body, _ := e.Content.Raw["body"].(string)
		if body == "" {
			body = e.Type.Type
		}
		out = append(out, body)
	}
	return out
}

func wantBodies(t *testing.T, list []*event.Event, want ...string) {
	t.Helper()
	if got := bodies(list); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// answered is a raw answer.
type answered struct {
	status int
	header http.Header
	body   string
	err    error // reading it
}

// json decodes the answer.
func (a answered) json(t *testing.T) object {
	t.Helper()
	o := object{}
	if err := json.Unmarshal([]byte(a.body), &o); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return o
}

// call sends a request without a library; err is when there was no answer at all.
func (s *Server) call(ctx context.Context, hc *http.Client, method, path, token, body string) (answered, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return answered{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answered{resp.StatusCode, resp.Header, string(b), err}, nil
}

// ask is call for a client that is logged in.
func (c *client) ask(method, path, body string) answered {
	c.t.Helper()
	a, err := c.user.s.call(c.t.Context(), c.Client.Client, method, path, c.AccessToken, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}
