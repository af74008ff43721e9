package matrixtest

import (
	"encoding/json"
	"slices"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

func TestToDevice(t *testing.T) {
	s := New(t)
	alice, bob, other := login(t, s, "alice"), login(t, s, "bob"), login(t, s, "bob")
	bob.sync()
	other.sync()
	send := func(device id.DeviceID, n int) {
		content := &event.Content{Raw: object{"n": n}}
		must(alice.SendToDevice(t.Context(), event.Type{Type: "x.y", Class: event.ToDeviceEventType}, &mautrix.ReqSendToDevice{
			Messages: map[id.UserID]map[id.DeviceID]*event.Content{"@bob:hs.test": {device: content}, "@nobody:hs.test": {"X": content}},
		}))(t)
	}
	send(bob.DeviceID, 1)
	send("*", 2)
	before := bob.next
	got := bob.sync().ToDevice.Events
	if len(got) != 2 || got[0].Sender != "@alice:hs.test" || got[0].Type.Type != "x.y" || got[1].Content.Raw["n"] != 2.0 {
		t.Fatalf("%+v", got)
	}
	bob.next = before // it did not get that answer
	if got = bob.sync().ToDevice.Events; len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	send(bob.DeviceID, 3)
	if got = bob.sync().ToDevice.Events; len(got) != 1 || got[0].Content.Raw["n"] != 3.0 {
		t.Fatalf("%+v", got)
	}
	if got = other.sync().ToDevice.Events; len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	path := v3 + "sendToDevice/x.y/same"
	for range 2 {
		if a := alice.ask("PUT", path, `{"messages":{"@bob:hs.test":{"*":{"n":4}}}}`); a.status != 200 {
			t.Fatalf("%+v", a)
		}
	}
	if got = other.sync().ToDevice.Events; len(got) != 1 {
		t.Fatalf("%d messages of one transaction", len(got))
	}
}

// TestDeviceLists tells whose keys are to be asked for.
func TestDeviceLists(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), login(t, s, "bob")
	r := public(s, "Room", "alice")
	alice.sync()
	from := alice.next
	upload := func(name string) {
		if a := bob.ask("POST", v3+"keys/upload", `{"device_keys":{"user_id":"@bob:hs.test","device_id":"`+name+`"}}`); a.status != 200 {
			t.Fatalf("%+v", a)
		}
	}
	want := func(what string, changed, left []id.UserID) {
		t.Helper()
		got := alice.sync().DeviceLists
		slices.Sort(got.Changed)
		if !slices.Equal(got.Changed, changed) || !slices.Equal(got.Left, left) {
			t.Fatalf("%s: %+v", what, got)
		}
	}
	upload("A")
	bob.user.Say(r, "x")
	want("no encrypted room", nil, nil)
	bob.user.State(r, "m.room.encryption", "", object{"algorithm": "m.megolm.v1.aes-sha2"})
	want("encrypted now", []id.UserID{"@alice:hs.test", "@bob:hs.test"}, nil)
	upload("B")
	want("other keys", []id.UserID{"@bob:hs.test"}, nil)
	s.User("carol").Join(r)
	want("a newcomer", []id.UserID{"@carol:hs.test"}, nil)
	s.User("carol").Leave(r, "")
	want("gone", nil, []id.UserID{"@carol:hs.test"})
	// The client's own method asks with POST, which no server knows.
	var all mautrix.DeviceLists
	if err := json.Unmarshal([]byte(alice.ask("GET", v3+"keys/changes?from="+from+"&to="+alice.next, "").body), &all); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all.Changed)
	if !slices.Equal(all.Changed, []id.UserID{"@alice:hs.test", "@bob:hs.test"}) || !slices.Equal(all.Left, []id.UserID{"@carol:hs.test"}) {
		t.Fatalf("%+v", all)
	}
	alice.user.Leave(r, "")
	want("oneself gone", nil, []id.UserID{"@bob:hs.test"})
}

func TestCrossSigning(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), login(t, s, "bob")
	alice.ask("POST", v3+"keys/upload", `{"device_keys":{"user_id":"@alice:hs.test","device_id":"`+string(alice.DeviceID)+`","signatures":{"@alice:hs.test":{"ed25519:D":"own"}}}}`)
	keys := `"master_key":{"usage":["master"],"keys":{"ed25519:M":"M"}},"self_signing_key":{"keys":{"ed25519:S":"S"}},"user_signing_key":{"keys":{"ed25519:U":"U"}}`
	upload := func(auth string) int {
		return alice.ask("POST", v3+"keys/device_signing/upload", "{"+keys+auth+"}").status
	}
	if a, b, c := upload(""), upload(""), upload(`,"auth":{"type":"m.login.password","password":"alice-password"}`); a != 200 || b != 401 || c != 200 {
		t.Fatal(a, b, c)
	}
	a := alice.ask("POST", v3+"keys/signatures/upload", `{"@alice:hs.test":{"`+string(alice.DeviceID)+`":{"signatures":{"@alice:hs.test":{"ed25519:S":"by self"}}},
		"M":{"signatures":{"@alice:hs.test":{"ed25519:D":"by device"}}},"none":{}}}`).json(t)
	if f := a["failures"].(object)["@alice:hs.test"].(object); len(f) != 1 || f["none"] == nil {
		t.Fatalf("%+v", a)
	}
	query := func(c *client) object {
		return c.ask("POST", v3+"keys/query", `{"device_keys":{"@alice:hs.test":[]}}`).json(t)
	}
	got := query(alice)
	device := got["device_keys"].(object)["@alice:hs.test"].(object)[string(alice.DeviceID)].(object)
	if sigs := device["signatures"].(object)["@alice:hs.test"].(object); sigs["ed25519:D"] != "own" || sigs["ed25519:S"] != "by self" {
		t.Fatalf("%+v", device)
	}
	if m := got["master_keys"].(object)["@alice:hs.test"].(object); m["signatures"].(object)["@alice:hs.test"].(object)["ed25519:D"] != "by device" {
		t.Fatalf("%+v", m)
	}
	if len(got["user_signing_keys"].(object)) != 1 || len(query(bob)["user_signing_keys"].(object)) != 0 || len(query(bob)["self_signing_keys"].(object)) != 1 {
		t.Fatalf("%+v", got)
	}
}

func TestKeyBackup(t *testing.T) {
	s := New(t)
	c := login(t, s, "alice")
	ask := func(method, path, body string, status int) object {
		t.Helper()
		a := c.ask(method, v3+"room_keys/"+path, body)
		if a.status != status {
			t.Fatalf("%s %s: %+v", method, path, a)
		}
		return a.json(t)
	}
	ask("GET", "version", "", 404)
	if v := ask("POST", "version", `{"algorithm":"m.x","auth_data":{"n":1}}`, 200)["version"]; v != "1" {
		t.Fatal(v)
	}
	ask("PUT", "version/1", `{"algorithm":"m.x","auth_data":{"n":2}}`, 200)
	ask("PUT", "version/1", `{"algorithm":"m.y","auth_data":{}}`, 400)
	ask("PUT", "keys?version=1", `{"rooms":{"!r":{"sessions":{"a":{"k":1},"b":{"k":2}}}}}`, 200)
	ask("PUT", "keys/!r/c?version=1", `{"k":3}`, 200)
	if got := ask("PUT", "keys/!q?version=1", `{"sessions":{"d":{"k":4}}}`, 200); got["count"] != 4.0 || got["etag"] != "3" {
		t.Fatalf("%+v", got)
	}
	if got := ask("GET", "version", "", 200); got["version"] != "1" || got["auth_data"].(object)["n"] != 2.0 || got["count"] != 4.0 {
		t.Fatalf("%+v", got)
	}
	if got := ask("GET", "keys/!r/c?version=1", "", 200); got["k"] != 3.0 {
		t.Fatalf("%+v", got)
	}
	if got := ask("GET", "keys?version=1", "", 200)["rooms"].(object); len(got) != 2 || len(got["!r"].(object)["sessions"].(object)) != 3 {
		t.Fatalf("%+v", got)
	}
	ask("DELETE", "keys/!r/a?version=1", "", 200)
	if got := ask("GET", "keys/!r?version=1", "", 200)["sessions"].(object); len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	ask("POST", "version", `{"algorithm":"m.x","auth_data":{}}`, 200)
	if got := ask("PUT", "keys?version=1", `{"rooms":{}}`, 403); got["errcode"] != "M_WRONG_ROOM_KEYS_VERSION" || got["current_version"] != "2" {
		t.Fatalf("%+v", got)
	}
	ask("DELETE", "version/2", "", 200)
	if got := ask("GET", "version", "", 200); got["version"] != "1" {
		t.Fatalf("%+v", got)
	}
	ask("GET", "keys/!r/zzz?version=1", "", 404)
	ask("GET", "keys?version=9", "", 404)
}

func TestAccountOdds(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	_, other := alice.user.Login("")
	token := alice.ask("POST", v1+"login/get_token", "{}").json(t)["login_token"].(string)
	must(dial(t, s).Login(t.Context(), &mautrix.ReqLogin{Type: mautrix.AuthTypeToken, Token: token}))(t)
	if n := len(alice.user.Devices()); n != 3 {
		t.Fatal(n)
	}
	if rules := must(alice.GetPushRules(t.Context()))(t); len(rules.Override) != 0 {
		t.Fatalf("%+v", rules)
	}
	req := &mautrix.ReqDeleteDevices[any]{Devices: []id.DeviceID{id.DeviceID(other)}, Auth: object{"type": "m.login.password", "password": "alice-password"}}
	if err := alice.DeleteDevices(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if n := len(alice.user.Devices()); n != 2 {
		t.Fatal(n)
	}
	must(alice.LogoutAll(t.Context()))(t)
	if n := len(alice.user.Devices()); n != 0 {
		t.Fatal(n)
	}
}
