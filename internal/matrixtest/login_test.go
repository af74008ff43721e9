package matrixtest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

func TestLoginByPassword(t *testing.T) {
	s := New(t)
	c := dial(t, s)
	flows, err := c.GetLoginFlows(t.Context())
	if err != nil || !flows.HasFlow(mautrix.AuthTypePassword) || !flows.HasFlow(mautrix.AuthTypeToken) {
		t.Fatalf("%+v, %v", flows, err)
	}
	req := &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: "alice"},
		Password: "wrong", StoreCredentials: true, InitialDeviceDisplayName: "phone",
	}
	s.User("alice")
	_, err = c.Login(t.Context(), req)
	wantErr(t, err, mautrix.MForbidden)
	_, err = c.Whoami(t.Context())
	wantErr(t, err, mautrix.MMissingToken)
	req.Password, req.Identifier.User = "alice-password", "@alice:hs.test"
	in, err := c.Login(t.Context(), req)
	if err != nil || in.UserID != "@alice:hs.test" || in.WellKnown.Homeserver.BaseURL != s.URL {
		t.Fatalf("%+v, %v", in, err)
	}
	me := must(c.Whoami(t.Context()))(t)
	if me.UserID != in.UserID || me.DeviceID != in.DeviceID {
		t.Fatalf("%+v", me)
	}
	if got := must(c.Versions(t.Context()))(t); !got.ContainsGreaterOrEqual(mautrix.SpecV111) {
		t.Fatalf("%+v", got)
	}
	caps := must(c.Capabilities(t.Context()))(t)
	if caps.RoomVersions.Default != "11" || caps.RoomVersions.Available["12"] != "stable" {
		t.Fatalf("%+v", caps.RoomVersions)
	}
	info := must(c.GetDeviceInfo(t.Context(), in.DeviceID))(t)
	if info.DisplayName != "phone" {
		t.Fatalf("%+v", info)
	}
	must(c.Logout(t.Context()))(t)
	_, err = c.Whoami(t.Context())
	wantErr(t, err, mautrix.MUnknownToken)
	if ids := s.User("alice").Devices(); len(ids) != 0 {
		t.Fatalf("devices are left: %v", ids)
	}
}

func TestLoginByToken(t *testing.T) {
	s := Start(t, Config{NoPassword: true})
	c := dial(t, s)
	if flows := must(c.GetLoginFlows(t.Context()))(t); flows.HasFlow(mautrix.AuthTypePassword) {
		t.Fatal("a flow that is off is offered")
	}
	req := &mautrix.ReqLogin{Type: mautrix.AuthTypeToken, Token: s.User("alice").LoginToken(), StoreCredentials: true}
	must(c.Login(t.Context(), req))(t)
	if me := must(c.Whoami(t.Context()))(t); me.UserID != "@alice:hs.test" {
		t.Fatalf("%+v", me)
	}
	_, err := dial(t, s).Login(t.Context(), req)
	wantErr(t, err, mautrix.MForbidden) // once
}

func TestWellKnown(t *testing.T) {
	for _, unlisted := range []bool{false, true} {
		s := Start(t, Config{Unlisted: unlisted})
		a, err := s.call(t.Context(), s.Client(), "GET", "/.well-known/matrix/client", "", "")
		if err != nil {
			t.Fatal(err)
		}
		if unlisted {
			if a.status != 404 {
				t.Fatalf("%+v", a)
			}
		} else if a.json(t)["m.homeserver"].(object)["base_url"] != s.URL {
			t.Fatalf("%+v", a)
		}
	}
}

func TestRegister(t *testing.T) {
	s := New(t)
	c := dial(t, s)
	must(c.RegisterAvailable(t.Context(), "alice"))(t)
	_, ask, err := c.Register(t.Context(), &mautrix.ReqRegister[any]{Username: "alice", Password: "secret"})
	if err != nil || ask == nil || !ask.HasSingleStageFlow(mautrix.AuthTypeDummy) {
		t.Fatalf("%+v, %v", ask, err)
	}
	got := must(c.RegisterDummy(t.Context(), &mautrix.ReqRegister[any]{Username: "alice", Password: "secret"}))(t)
	if got.UserID != "@alice:hs.test" || got.AccessToken == "" || s.User("alice").Password != "secret" {
		t.Fatalf("%+v", got)
	}
	_, err = c.RegisterAvailable(t.Context(), "alice")
	wantErr(t, err, mautrix.MUserInUse)
	_, err = c.RegisterAvailable(t.Context(), "Ärger")
	wantErr(t, err, mautrix.MInvalidUsername)
}

func TestDevices(t *testing.T) {
	s := New(t)
	c := login(t, s, "alice")
	_, other := s.User("alice").Login("")
	if err := c.SetDeviceInfo(t.Context(), id.DeviceID(other), &mautrix.ReqDeviceInfo{DisplayName: "laptop"}); err != nil {
		t.Fatal(err)
	}
	list := must(c.GetDevicesInfo(t.Context()))(t)
	if len(list.Devices) != 2 || !slices.ContainsFunc(list.Devices, func(d mautrix.RespDeviceInfo) bool { return d.DisplayName == "laptop" }) {
		t.Fatalf("%+v", list)
	}
	if err := c.DeleteDevice(t.Context(), id.DeviceID(other), nil); err == nil {
		t.Fatal("a device went without a password")
	}
	auth := object{"type": "m.login.password", "password": "alice-password"}
	if err := c.DeleteDevice(t.Context(), id.DeviceID(other), &mautrix.ReqDeleteDevice[any]{Auth: auth}); err != nil {
		t.Fatal(err)
	}
	if ids := s.User("alice").Devices(); !slices.Equal(ids, []string{string(c.DeviceID)}) {
		t.Fatalf("%v", ids)
	}
}

// TestSoftLogout goes on with the same device, and its transactions.
func TestSoftLogout(t *testing.T) {
	s := New(t)
	c := login(t, s, "alice")
	r := s.User("alice").Create(RoomOptions{})
	sent := must(c.SendMessageEvent(t.Context(), id.RoomID(r.ID), event.EventMessage, text("m.text", "x"), mautrix.ReqSendEvent{TransactionID: "t1"}))(t)
	c.sync()
	poll := c.poll()
	s.Wait(t, "nobody waits", func() bool { return s.Waiting() == 1 })
	s.User("alice").SoftLogout()
	wantErr(t, (<-poll).err, mautrix.MUnknownToken)
	if a := c.ask("GET", v3+"account/whoami", ""); a.status != 401 || a.json(t)["soft_logout"] != true {
		t.Fatalf("%+v", a)
	}
	must(c.Login(t.Context(), &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: "alice"},
		Password: "alice-password", DeviceID: c.DeviceID, StoreCredentials: true,
	}))(t)
	again := must(c.SendMessageEvent(t.Context(), id.RoomID(r.ID), event.EventMessage, text("m.text", "x"), mautrix.ReqSendEvent{TransactionID: "t1"}))(t)
	if again.EventID != sent.EventID {
		t.Fatal("the device's transactions are gone")
	}
	s.User("alice").Logout()
	if a := c.ask("GET", v3+"account/whoami", ""); a.status != 401 || a.json(t)["soft_logout"] != false {
		t.Fatalf("%+v", a)
	}
}

func TestRefreshTokens(t *testing.T) {
	s := Start(t, Config{TokenLife: time.Nanosecond})
	s.User("alice")
	a, err := s.call(t.Context(), s.Client(), "POST", v3+"login", "", `{"type":"m.login.password","refresh_token":true,"password":"alice-password","identifier":{"type":"m.id.user","user":"alice"}}`)
	if err != nil || a.status != 200 {
		t.Fatalf("%+v, %v", a, err)
	}
	in := a.json(t)
	old, renew := in["access_token"].(string), in["refresh_token"].(string)
	if a, err = s.call(t.Context(), s.Client(), "GET", v3+"account/whoami", old, ""); err != nil || a.status != 401 || a.json(t)["soft_logout"] != true {
		t.Fatalf("%+v, %v", a, err)
	}
	for i, want := range []int{http.StatusOK, http.StatusUnauthorized} { // a refresh token is good once
		a, err = s.call(t.Context(), s.Client(), "POST", v3+"refresh", "", `{"refresh_token":"`+renew+`"}`)
		if err != nil || a.status != want || i == 0 && a.json(t)["refresh_token"] == renew {
			t.Fatalf("%d: %+v, %v", i, a, err)
		}
	}
}

func TestDeactivated(t *testing.T) {
	s := New(t)
	c := login(t, s, "alice")
	s.User("alice").Deactivate()
	_, err := c.Whoami(t.Context())
	wantErr(t, err, mautrix.MUnknownToken)
	_, err = c.Login(t.Context(), &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: "alice"}, Password: "alice-password",
	})
	wantErr(t, err, mautrix.MUserDeactivated)
}

// TestFound goes from a user id to the server.
func TestFound(t *testing.T) {
	s := Start(t, Config{Found: true, TLS: true})
	c := login(t, s, "alice")
	_, name, _ := c.UserID.Parse()
	resp := must(s.Client().Get("https://" + name + "/.well-known/matrix/client"))(t)
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || s.URL != "https://"+name {
		t.Fatal(resp.Status, s.URL)
	}
	r := s.User("bob").Create(RoomOptions{Alias: "room", Preset: "public_chat"})
	must(c.JoinRoom(t.Context(), "#room:"+name, nil))(t)
	if r.Membership(c.user) != "join" {
		t.Fatal(r.Membership(c.user))
	}
}

// TestOldPaths serves clients that know no v3.
func TestOldPaths(t *testing.T) {
	s := New(t)
	c := login(t, s, "alice")
	r := public(s, "Room", "alice")
	for _, path := range []string{"client/r0/account/whoami", "client/r0/rooms/" + r.ID + "/state/x%2Fy/a%2Fb", "media/r0/config"} {
		a := c.ask("GET", "/_matrix/"+path, "")
		if want := map[bool]int{true: 404, false: 200}[strings.Contains(path, "state")]; a.status != want || a.json(t)["errcode"] == "M_UNRECOGNIZED" {
			t.Errorf("%s: %+v", path, a)
		}
	}
}
