package matrixtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

func TestCreateRoom(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	key := ""
	resp := must(alice.CreateRoom(t.Context(), &mautrix.ReqCreateRoom{
		Name: "Room", Topic: "Talk", RoomAliasName: "room", Preset: "public_chat", Visibility: "public", Invite: []id.UserID{"@bob:hs.test"}, IsDirect: true,
		InitialState: []*event.Event{{Type: event.StateEncryption, StateKey: &key, Content: event.Content{Raw: object{"algorithm": "m.megolm.v1.aes-sha2"}}}},
	}))(t)
	r := s.Room("#room:hs.test")
	if r == nil || r.ID != string(resp.RoomID) || !strings.HasSuffix(r.ID, ":hs.test") {
		t.Fatalf("%+v", resp)
	}
	for typ, want := range map[string][2]string{
		"m.room.name": {"name", "Room"}, "m.room.topic": {"topic", "Talk"}, "m.room.canonical_alias": {"alias", "#room:hs.test"},
		"m.room.join_rules": {"join_rule", "public"}, "m.room.encryption": {"algorithm", "m.megolm.v1.aes-sha2"}, "m.room.create": {"room_version", "11"},
	} {
		if e := r.State(typ, ""); e == nil || e.Get(want[0]) != want[1] {
			t.Errorf("%s: %+v", typ, e)
		}
	}
	if r.Membership(bob) != "invite" || !strings.Contains(string(r.State("m.room.member", bob.ID).Content), `"is_direct":true`) {
		t.Errorf("%s", r.State("m.room.member", bob.ID).Content)
	}
	for _, e := range r.Events() {
		if len(e.ID) != 44 || e.ID[0] != '$' {
			t.Errorf("id %s", e.ID)
		}
	}
	for want, req := range map[*mautrix.RespError]mautrix.ReqCreateRoom{
		&mautrix.MRoomInUse:              {RoomAliasName: "room"},
		&mautrix.MUnsupportedRoomVersion: {RoomVersion: "99"},
		&mautrix.MNotFound:               {Invite: []id.UserID{"@nobody:hs.test"}},
	} {
		_, err := alice.CreateRoom(t.Context(), &req)
		wantErr(t, err, *want)
	}
}

// TestVersion12 has ids without a server and creators above all levels.
func TestVersion12(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	resp := must(alice.CreateRoom(t.Context(), &mautrix.ReqCreateRoom{RoomVersion: "12", Preset: "trusted_private_chat", Invite: []id.UserID{"@bob:hs.test"}}))(t)
	r := s.Room(string(resp.RoomID))
	if len(r.ID) != 44 || strings.Contains(r.ID, ":") || r.Events()[0].ID[1:] != r.ID[1:] {
		t.Fatalf("%s, %s", r.ID, r.Events()[0].ID)
	}
	bob.Join(r)
	if n := r.Power(bob); n <= 100 || n != r.Power(alice.user) {
		t.Fatalf("an additional creator has %d", n)
	}
	var levels event.PowerLevelsEventContent
	if err := alice.StateEvent(t.Context(), id.RoomID(r.ID), event.StatePowerLevels, "", &levels); err != nil || len(levels.Users) != 0 {
		t.Fatalf("%+v, %v", levels.Users, err)
	}
	_, err := alice.SendStateEvent(t.Context(), id.RoomID(r.ID), event.StatePowerLevels, "", object{"users": object{bob.ID: 100}})
	wantErr(t, err, mautrix.MInvalidParam)
	_, err = alice.KickUser(t.Context(), id.RoomID(r.ID), &mautrix.ReqKickUser{UserID: "@bob:hs.test"})
	wantErr(t, err, mautrix.MForbidden) // creators are equal
}

// TestRemoteRoom joins a room of another server by its id, which says nothing of
// where it is.
func TestRemoteRoom(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := s.User("@carol:far.test").Create(RoomOptions{Version: "12", Preset: "public_chat"})
	_, err := alice.JoinRoom(t.Context(), r.ID, nil)
	wantErr(t, err, mautrix.MNotFound)
	_, err = alice.JoinRoom(t.Context(), r.ID, &mautrix.ReqJoinRoom{Via: []string{"elsewhere.test"}})
	wantErr(t, err, mautrix.MNotFound)
	must(alice.JoinRoom(t.Context(), r.ID, &mautrix.ReqJoinRoom{Via: []string{"far.test"}}))(t)
	if r.Membership(alice.user) != "join" {
		t.Fatal(r.Membership(alice.user))
	}
	_, err = dial(t, s).Login(t.Context(), &mautrix.ReqLogin{Type: mautrix.AuthTypePassword,
		Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: "@carol:far.test"}})
	wantErr(t, err, mautrix.MForbidden)
}

// TestMembership goes through what members may do to each other, step by step.
func TestMembership(t *testing.T) {
	s := New(t)
	alice, carol := login(t, s, "alice"), login(t, s, "carol")
	bob := s.User("bob")
	r := bob.Create(RoomOptions{})
	rid := id.RoomID(r.ID)
	ctx := t.Context()
	steps := []struct {
		name string
		do   func() error
		want error
	}{
		{"join uninvited", func() error { _, err := alice.JoinRoomByID(ctx, rid); return err }, mautrix.MForbidden},
		{"knock where nobody may", func() error { _, err := alice.KnockRoom(ctx, r.ID, nil); return err }, mautrix.MForbidden},
		{"leave from outside", func() error { _, err := alice.LeaveRoom(ctx, rid); return err }, mautrix.MForbidden},
		{"join what is not there", func() error { _, err := alice.JoinRoom(ctx, "#none:hs.test", nil); return err }, mautrix.MNotFound},
		{"join rubbish", func() error { _, err := alice.JoinRoom(ctx, "none", nil); return err }, mautrix.MInvalidParam},
		{"rule", func() error { bob.State(r, "m.room.join_rules", "", object{"join_rule": "knock"}); return nil }, nil},
		{"knock", func() error {
			_, err := alice.KnockRoom(ctx, r.ID, &mautrix.ReqKnockRoom{Reason: "please"})
			if resp := alice.sync(); resp.Rooms.Knock[rid] == nil {
				t.Errorf("no knock: %+v", resp.Rooms)
			}
			return err
		}, nil},
		{"invite", func() error { bob.Invite(r, alice.user, ""); return nil }, nil},
		{"knock invited", func() error { _, err := alice.KnockRoom(ctx, r.ID, nil); return err }, mautrix.MForbidden},
		{"join invited", func() error { _, err := alice.JoinRoomByID(ctx, rid); return err }, nil},
		{"join again", func() error { _, err := alice.JoinRoomByID(ctx, rid); return err }, nil},
		{"invite another", func() error {
			_, err := alice.InviteUser(ctx, rid, &mautrix.ReqInviteUser{UserID: "@carol:hs.test", Reason: "come"})
			return err
		}, nil},
		{"carol joins", func() error { _, err := carol.JoinRoomByID(ctx, rid); return err }, nil},
		{"invite who is in", func() error {
			_, err := alice.InviteUser(ctx, rid, &mautrix.ReqInviteUser{UserID: "@carol:hs.test"})
			return err
		}, mautrix.MForbidden},
		{"invite nobody", func() error {
			_, err := alice.InviteUser(ctx, rid, &mautrix.ReqInviteUser{UserID: "@nobody:hs.test"})
			return err
		}, mautrix.MNotFound},
		{"kick without power", func() error {
			_, err := alice.KickUser(ctx, rid, &mautrix.ReqKickUser{UserID: "@carol:hs.test"})
			return err
		}, mautrix.MForbidden},
		{"power", func() error { bob.SetPower(r, alice.user, 50); return nil }, nil},
		{"kick", func() error {
			_, err := alice.KickUser(ctx, rid, &mautrix.ReqKickUser{UserID: "@carol:hs.test", Reason: "out"})
			return err
		}, nil},
		{"kick who is out", func() error {
			_, err := alice.KickUser(ctx, rid, &mautrix.ReqKickUser{UserID: "@carol:hs.test"})
			return err
		}, mautrix.MForbidden},
		{"kick a stronger one", func() error {
			_, err := alice.KickUser(ctx, rid, &mautrix.ReqKickUser{UserID: "@bob:hs.test"})
			return err
		}, mautrix.MForbidden},
		{"ban", func() error {
			_, err := alice.BanUser(ctx, rid, &mautrix.ReqBanUser{UserID: "@carol:hs.test", Reason: "spam"})
			return err
		}, nil},
		{"banned joins", func() error { _, err := carol.JoinRoomByID(ctx, rid); return err }, mautrix.MForbidden},
		{"invite banned", func() error {
			_, err := alice.InviteUser(ctx, rid, &mautrix.ReqInviteUser{UserID: "@carol:hs.test"})
			return err
		}, mautrix.MForbidden},
		{"unban", func() error {
			_, err := alice.UnbanUser(ctx, rid, &mautrix.ReqUnbanUser{UserID: "@carol:hs.test"})
			return err
		}, nil},
		{"unban again", func() error {
			_, err := alice.UnbanUser(ctx, rid, &mautrix.ReqUnbanUser{UserID: "@carol:hs.test"})
			return err
		}, mautrix.MForbidden},
		{"forget inside", func() error { _, err := alice.ForgetRoom(ctx, rid); return err }, mautrix.MUnknown},
		{"leave", func() error { _, err := alice.LeaveRoom(ctx, rid, &mautrix.ReqLeave{Reason: "bye"}); return err }, nil},
		{"speak from outside", func() error { _, err := alice.SendText(ctx, rid, "x"); return err }, mautrix.MForbidden},
	}
	for _, step := range steps {
		err := step.do()
		var he mautrix.HTTPError
		if errors.As(err, &he) && he.RespError != nil && he.RespError.ErrCode == "M_UNKNOWN" {
			err = mautrix.MUnknown // it compares by text
		}
		if (step.want == nil) != (err == nil) || step.want != nil && !errors.Is(err, step.want) && err != step.want {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
}

func TestRestrictedRoom(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	club := public(s, "Club")
	r := bob.Create(RoomOptions{})
	bob.State(r, "m.room.join_rules", "", object{"join_rule": "restricted", "allow": []object{{"type": "m.room_membership", "room_id": club.ID}}})
	_, err := alice.JoinRoomByID(t.Context(), id.RoomID(r.ID))
	wantErr(t, err, mautrix.MForbidden)
	alice.user.Join(club)
	must(alice.JoinRoomByID(t.Context(), id.RoomID(r.ID)))(t)
	if got := must(alice.JoinedRooms(t.Context()))(t); len(got.JoinedRooms) != 2 {
		t.Fatalf("%+v", got)
	}
}

func TestPowerLevels(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := public(s, "Room", "alice", "carol")
	rid := id.RoomID(r.ID)
	set := func(typ event.Type, content object) error {
		_, err := alice.SendStateEvent(t.Context(), rid, typ, "", content)
		return err
	}
	wantErr(t, set(event.StateTopic, object{"topic": "x"}), mautrix.MForbidden)
	bob.SetPower(r, alice.user, 50)
	if err := set(event.StateTopic, object{"topic": "x"}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, set(event.StatePowerLevels, object{}), mautrix.MForbidden)
	bob.SetPower(r, alice.user, 100)
	levels := contentOf[object](r.State("m.room.power_levels", ""))
	users := levels["users"].(object)
	users["@carol:hs.test"] = 101
	wantErr(t, set(event.StatePowerLevels, levels), mautrix.MForbidden)
	delete(users, "@carol:hs.test")
	users[bob.ID] = 0
	wantErr(t, set(event.StatePowerLevels, levels), mautrix.MForbidden) // an equal
	users[bob.ID], levels["events_default"] = 100, 10
	if err := set(event.StatePowerLevels, levels); err != nil {
		t.Fatal(err)
	}
	carol := login(t, s, "carol")
	_, err := carol.SendText(t.Context(), rid, "x")
	wantErr(t, err, mautrix.MForbidden)
	wantErr(t, set(event.StatePowerLevels, object{"users": "rubbish"}), mautrix.MBadJSON)
	_, err = alice.SendStateEvent(t.Context(), rid, event.Type{Type: "x.y", Class: event.StateEventType}, bob.ID, object{})
	wantErr(t, err, mautrix.MForbidden)
}

func TestState(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := public(s, "Room", "alice")
	rid := id.RoomID(r.ID)
	bob.SetPower(r, alice.user, 100)
	own := event.Type{Type: "test.own", Class: event.StateEventType}
	first := must(alice.SendStateEvent(t.Context(), rid, own, "key/with slash", object{"n": 1}))(t)
	if again := must(alice.SendStateEvent(t.Context(), rid, own, "key/with slash", object{"n": 1}))(t); again.EventID != first.EventID {
		t.Fatal("what says nothing new made an event")
	}
	var content object
	if err := alice.StateEvent(t.Context(), rid, own, "key/with slash", &content); err != nil || content["n"] != 1.0 {
		t.Fatalf("%v, %v", content, err)
	}
	wantErr(t, alice.StateEvent(t.Context(), rid, own, "", &content), mautrix.MNotFound)
	if e := must(alice.FullStateEvent(t.Context(), rid, event.StateRoomName, ""))(t); e.Sender != "@bob:hs.test" || e.RoomID != rid {
		t.Fatalf("%+v", e)
	}
	all := must(alice.State(t.Context(), rid))(t)
	if len(all[event.StateMember]) != 2 || all[own]["key/with slash"] == nil {
		t.Fatalf("%+v", all)
	}
	if list := must(alice.JoinedMembers(t.Context(), rid))(t); len(list.Joined) != 2 || list.Joined["@bob:hs.test"].DisplayName != "bob" {
		t.Fatalf("%+v", list)
	}
	bob.Invite(r, s.User("carol"), "")
	if list := must(alice.Members(t.Context(), rid, mautrix.ReqMembers{Membership: event.MembershipInvite}))(t); len(list.Chunk) != 1 {
		t.Fatalf("%+v", list)
	}
	// Who left sees the room as it was.
	alice.user.Leave(r, "")
	bob.SetRoomName(r, "New name")
	var name event.RoomNameEventContent
	if err := alice.StateEvent(t.Context(), rid, event.StateRoomName, "", &name); err != nil || name.Name != "Room" {
		t.Fatalf("%+v, %v", name, err)
	}
	_, err := login(t, s, "stranger").State(t.Context(), rid)
	wantErr(t, err, mautrix.MForbidden)
	_, err = alice.SendStateEvent(t.Context(), rid, event.StateMember, bob.ID, object{"membership": "leave"})
	wantErr(t, err, mautrix.MForbidden)
}

func TestUpgrade(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := bob.Create(RoomOptions{Name: "Room", Alias: "room", Preset: "public_chat", Visibility: "public"})
	alice.user.Join(r)
	a := alice.ask("POST", v3+"rooms/"+r.ID+"/upgrade", `{"new_version":"12"}`)
	if a.status != 403 {
		t.Fatalf("%+v", a)
	}
	bob.SetPower(r, alice.user, 100)
	next := s.Room(alice.ask("POST", v3+"rooms/"+r.ID+"/upgrade", `{"new_version":"12"}`).json(t)["replacement_room"].(string))
	if e := r.State("m.room.tombstone", ""); e == nil || e.Get("replacement_room") != next.ID {
		t.Fatalf("%+v", e)
	}
	create := contentOf[struct {
		Predecessor struct {
			Room string `json:"room_id"`
		} `json:"predecessor"`
	}](next.State("m.room.create", ""))
	if create.Predecessor.Room != r.ID || next.State("m.room.name", "").Get("name") != "Room" || s.Room("#room:hs.test") != next {
		t.Fatalf("%+v", create)
	}
	if next.Power(bob) != 100 || next.Membership(bob) != "leave" {
		t.Fatal(next.Power(bob), next.Membership(bob))
	}
	wantErr(t, errorOf(bob.s.try(func() error { _, err := r.upgrade(bob, "x"); return err })), mautrix.MUnsupportedRoomVersion)
}

// errorOf turns an error of the server into one of the client.
func errorOf(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return mautrix.RespError{ErrCode: e.Code, StatusCode: e.Status}
	}
	return fmt.Errorf("%w", err)
}
