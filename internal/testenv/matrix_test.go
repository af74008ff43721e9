package testenv

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// talk is two users on one homeserver.
type talk struct {
	*testing.T
	ctx         context.Context
	server      *Homeserver
	clients     *MatrixClients
	anna, ben   *MatrixClient
	annas, bens string // ids
}

func newTalk(t *testing.T) *talk {
	t.Helper()
	e, _ := newEnv(t)
	// A build, where nobody has made one, may take minutes.
	try(t, e.BuildDendrite(t.Context()))
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*long, fmt.Errorf("not within %v", 2*long))
	t.Cleanup(cancel)
	k := &talk{T: t, ctx: ctx}
	k.server = must[*Homeserver](t)(e.StartDendrite(ctx, HomeserverOptions{Users: []string{"anna"}}))
	try(t, k.server.AddUsers(ctx, "ben"))
	k.clients = must[*MatrixClients](t)(e.StartMatrixClients())
	k.anna = must[*MatrixClient](t)(k.clients.Login(ctx, k.server, "anna", "phone"))
	k.ben = must[*MatrixClient](t)(k.clients.LoginTLS(ctx, k.server, "ben", "desk"))
	k.annas, k.bens = MatrixID("anna"), MatrixID("ben")
	return k
}

// hears waits for an event.
func (k *talk) hears(c *MatrixClient, ms ...EventMatch) MatrixEvent {
	k.Helper()
	return must[MatrixEvent](k.T)(c.Expect(k.ctx, ms...))
}

// id ends the test unless something was sent.
func (k *talk) id(id string, err error) string {
	k.Helper()
	if err == nil && id == "" {
		k.Fatal("no id")
	}
	return must[string](k.T)(id, err)
}

// meet makes a room for both.
func (k *talk) meet(r MatrixRoom) string {
	k.Helper()
	r.Invite = []string{k.bens}
	room := k.id(k.anna.CreateRoom(k.ctx, r))
	k.hears(k.ben, Kind("invite"), InRoom(room), Membership(k.bens, "invite"))
	if got := k.id(k.ben.Join(k.ctx, room)); got != room {
		k.Fatalf("joined %s, want %s", got, room)
	}
	k.hears(k.anna, InRoom(room), Membership(k.bens, "join"))
	return room
}

func TestMatrixTalk(t *testing.T) {
	k := newTalk(t)
	room := k.meet(MatrixRoom{Name: "Garden", Topic: "what grows", Alias: "garden"})
	k.hears(k.ben, InRoom(room), State("m.room.topic", ""), Content("what grows", "topic"))

	line := k.id(k.anna.Say(k.ctx, room, "5 < 6 & \"so\" 🌱"))
	got := k.hears(k.ben, InRoom(room), Sender(k.annas), EventID(line), Text("5 < 6 & \"so\" 🌱"))
	if got.Time().IsZero() || got.Encrypted {
		t.Errorf("no time, or encrypted: %s", got)
	}
	k.id(k.ben.Emote(k.ctx, room, "waves"))
	k.hears(k.anna, Sender(k.bens), Emote("waves"))
	k.id(k.ben.SayHTML(k.ctx, room, "bold", "<b>bold</b>"))
	k.hears(k.anna, Text("bold"), Content("<b>bold</b>", "formatted_body"))

	k.id(k.anna.Edit(k.ctx, room, line, "5 < 7"))
	k.hears(k.ben, Sender(k.annas), Replaces(line, "5 < 7"))
	sign := k.id(k.ben.React(k.ctx, room, line, "👍"))
	k.hears(k.anna, Sender(k.bens), Reacts(line, "👍"))
	k.id(k.ben.Redact(k.ctx, room, sign, ""))
	k.hears(k.anna, Sender(k.bens), Redaction(sign))
	k.id(k.ben.Reply(k.ctx, room, line, "indeed"))
	k.hears(k.anna, Text("indeed"), RepliesTo(line))
	k.id(k.ben.InThread(k.ctx, room, line, line, "by the way"))
	k.hears(k.anna, Text("by the way"), InThread(line))
	k.id(k.anna.Redact(k.ctx, room, line, "wrong"))
	k.hears(k.ben, Redaction(line), Content("wrong", "reason"))

	try(t, k.ben.Typing(k.ctx, room, true))
	k.hears(k.anna, InRoom(room), Typing(k.bens, true))
	try(t, k.ben.Typing(k.ctx, room, false))
	k.hears(k.anna, InRoom(room), Typing(k.bens, false))
	last := k.id(k.anna.Notice(k.ctx, room, "the end"))
	k.hears(k.ben, NoticeText("the end"))
	try(t, k.ben.Read(k.ctx, room, last))
	k.hears(k.anna, InRoom(room), Read(k.bens, last))

	past := must[[]MatrixEvent](t)(k.anna.History(k.ctx, room, 100))
	if len(past) == 0 || past[0].ID != last {
		t.Errorf("the past does not begin with %s: %v", last, past)
	}
	if ev, seen := k.ben.Seen(Text("the end")); seen {
		t.Errorf("heard, and never said: %s", ev)
	}
}

func TestMatrixRooms(t *testing.T) {
	k := newTalk(t)
	room := k.meet(MatrixRoom{Public: true, Alias: "meadow", Version: "12"})
	members := must[map[string]string](t)(k.ben.Members(k.ctx, room))
	if members[k.annas] == "" || members[k.bens] == "" {
		t.Errorf("members are %v", members)
	}

	try(t, k.anna.SetPower(k.ctx, room, k.bens, 50))
	k.hears(k.ben, State("m.room.power_levels", ""), Content(50.0, "users", k.bens))
	k.id(k.ben.SetState(k.ctx, room, "m.room.topic", "", map[string]any{"topic": "grass"}))
	k.hears(k.anna, Sender(k.bens), State("m.room.topic", ""), Content("grass", "topic"))
	state := must[map[string]any](t)(k.anna.GetState(k.ctx, room, "m.room.topic", ""))
	if state["topic"] != "grass" {
		t.Errorf("the topic is %v", state)
	}

	try(t, k.anna.Kick(k.ctx, room, k.bens, "go"))
	k.hears(k.ben, Kind("left"), InRoom(room), Membership(k.bens, "leave"), Content("go", "reason"))
	k.id(k.ben.Join(k.ctx, "#meadow:"+MatrixDomain))
	k.hears(k.anna, Kind("timeline"), Sender(k.bens), Membership(k.bens, "join"))
	try(t, k.anna.Ban(k.ctx, room, k.bens, "and stay away"))
	k.hears(k.ben, Kind("left"), Membership(k.bens, "ban"), Content("and stay away", "reason"))
	if _, err := k.ben.Join(k.ctx, room); err == nil || !strings.Contains(err.Error(), "M_FORBIDDEN") {
		t.Errorf("a banned user was told %v", err)
	}
	try(t, k.anna.Unban(k.ctx, room, k.bens))
	k.id(k.ben.Join(k.ctx, room))
	k.hears(k.anna, Sender(k.bens), Membership(k.bens, "join"))
	try(t, k.ben.Leave(k.ctx, room))
	k.hears(k.anna, Membership(k.bens, "leave"))

	chat := k.id(k.anna.CreateRoom(k.ctx, MatrixRoom{Direct: true, Invite: []string{k.bens}}))
	k.hears(k.ben, Kind("invite"), InRoom(chat), Content(true, "is_direct"))
	try(t, k.ben.Leave(k.ctx, chat))
	k.hears(k.anna, InRoom(chat), Membership(k.bens, "leave"))
}

func TestMatrixProfilesAndFiles(t *testing.T) {
	k := newTalk(t)
	room := k.meet(MatrixRoom{})
	try(t, k.ben.SetDisplayName(k.ctx, "Ben B."))
	k.hears(k.anna, Membership(k.bens, "join"), Content("Ben B.", "displayname"))
	picture := k.id(k.ben.Upload(k.ctx, []byte("\x89PNG not really"), "image/png", "me.png"))
	try(t, k.ben.SetAvatar(k.ctx, picture))
	k.hears(k.anna, Membership(k.bens, "join"), Content(picture, "avatar_url"))
	profile := must[MatrixProfile](t)(k.anna.Profile(k.ctx, k.bens))
	if profile.Name != "Ben B." || profile.Avatar != picture {
		t.Errorf("the profile is %+v", profile)
	}
	data := must[[]byte](t)(k.anna.DownloadURI(k.ctx, picture))
	if string(data) != "\x89PNG not really" {
		t.Errorf("the picture is %q", data)
	}
	try(t, k.ben.SetPresence(k.ctx, "unavailable", "at lunch"))
	k.hears(k.anna, Kind("presence"), Sender(k.bens), Content("unavailable", "presence"), Content("at lunch", "status_msg"))

	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	k.id(k.anna.SendFile(k.ctx, room, big, "application/octet-stream", "big.bin"))
	file := k.hears(k.ben, EventType("m.room.message"), Content("m.file", "msgtype"), Content("big.bin", "body"))
	if data := must[[]byte](t)(k.ben.Download(k.ctx, file)); !bytes.Equal(data, big) {
		t.Errorf("%d bytes came, want %d", len(data), len(big))
	}
}

// What stands on the homeserver in an encrypted room says nothing.
func TestMatrixEncryption(t *testing.T) {
	k := newTalk(t)
	room := k.meet(MatrixRoom{Encrypted: true})
	line := k.id(k.anna.Say(k.ctx, room, "a secret"))
	k.hears(k.ben, EventID(line), Text("a secret"), Encrypted())
	k.id(k.ben.Edit(k.ctx, room, k.id(k.ben.Reply(k.ctx, room, line, "hm")), "aha"))
	k.hears(k.anna, Sender(k.bens), RepliesTo(line), Encrypted())
	k.hears(k.anna, Sender(k.bens), TextLike("aha"), Encrypted())

	data := []byte("not for everybody")
	k.id(k.anna.SendFile(k.ctx, room, data, "text/plain", "secret.txt"))
	file := k.hears(k.ben, Content("secret.txt", "body"), Encrypted())
	if got := must[[]byte](t)(k.ben.Download(k.ctx, file)); !bytes.Equal(got, data) {
		t.Errorf("the file is %q", got)
	}
	raw := must[[]byte](t)(k.ben.DownloadURI(k.ctx, fmt.Sprint(file.Value("file", "url"))))
	if bytes.Contains(raw, data) {
		t.Error("the file is not encrypted")
	}

	var stored MatrixEvent
	try(t, k.ben.Request(k.ctx, http.MethodGet, "/_matrix/client/v3/rooms/"+room+"/event/"+line, nil, &stored))
	if stored.Type != "m.room.encrypted" || strings.Contains(stored.String(), "a secret") {
		t.Errorf("the homeserver has %s", stored)
	}

	// A device that comes later has no key for what was said before.
	late := must[*MatrixClient](t)(k.clients.Login(k.ctx, k.server, "ben", "late"))
	k.hears(late, EventID(line), EventType("m.room.encrypted"))
	known := must[[]string](t)(k.anna.AwaitDevices(k.ctx, k.bens, 2))
	if !slices.Contains(known, late.Device) {
		t.Errorf("%v are known, and not %s", known, late.Device)
	}
	k.id(k.anna.Say(k.ctx, room, "for all devices"))
	k.hears(late, Text("for all devices"), Encrypted())
	k.hears(k.ben, Text("for all devices"), Encrypted())
}

// Homeservers keep what they said over a crash, and clients go on by themselves.
func TestHomeserverKilled(t *testing.T) {
	k := newTalk(t)
	room := k.meet(MatrixRoom{})
	line := k.id(k.anna.Say(k.ctx, room, "before"))
	k.hears(k.ben, Text("before"))
	try(t, k.server.Restart(k.ctx))
	k.id(k.anna.Say(k.ctx, room, "after"))
	k.hears(k.ben, Text("after"))
	past := must[[]MatrixEvent](t)(k.ben.History(k.ctx, room, 100))
	if len(past) < 2 || past[0].Body() != "after" || past[1].ID != line {
		t.Errorf("the past is %v", past)
	}

	resp, err := (&http.Client{}).Get(k.server.TLSURL + "/_matrix/client/versions")
	if err == nil {
		resp.Body.Close()
		t.Error("the homeserver's certificate is trusted by everybody")
	}
	try(t, k.anna.Logout(k.ctx))
	if _, err := k.anna.Say(k.ctx, room, "still here?"); err == nil {
		t.Error("who logged out can speak")
	}
}
