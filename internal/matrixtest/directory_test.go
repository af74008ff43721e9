package matrixtest

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

func TestAliases(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice", "@carol:far.test")
	rid, alias := id.RoomID(r.ID), id.RoomAlias("#Über room:hs.test")
	must(alice.CreateAlias(t.Context(), alias, rid))(t)
	got := must(alice.ResolveAlias(t.Context(), alias))(t)
	if got.RoomID != rid || !slices.Equal(got.Servers, []string{"far.test", "hs.test"}) {
		t.Fatalf("%+v", got)
	}
	if list := must(alice.GetAliases(t.Context(), rid))(t); !slices.Equal(list.Aliases, []id.RoomAlias{alias}) {
		t.Fatalf("%+v", list)
	}
	_, err := alice.DeleteAlias(t.Context(), alias)
	wantErr(t, err, mautrix.MForbidden)
	_, err = alice.CreateAlias(t.Context(), "#x:far.test", rid)
	wantErr(t, err, mautrix.MInvalidParam)
	s.User("bob").SetPower(r, alice.user, 50)
	_, err = alice.SendStateEvent(t.Context(), rid, event.StateCanonicalAlias, "", object{"alias": "#none:hs.test"})
	wantErr(t, err, mautrix.RespError{ErrCode: "M_BAD_ALIAS"})
	must(alice.SendStateEvent(t.Context(), rid, event.StateCanonicalAlias, "", object{"alias": alias}))(t)
	carol := login(t, s, "carol")
	if got := must(carol.JoinRoom(t.Context(), string(alias), nil))(t); got.RoomID != rid {
		t.Fatalf("%+v", got)
	}
	must(alice.DeleteAlias(t.Context(), alias))(t)
	_, err = alice.ResolveAlias(t.Context(), alias)
	wantErr(t, err, mautrix.MNotFound)
}

func TestPublicRooms(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	for _, name := range strings.Fields("red green blue") {
		r := bob.Create(RoomOptions{Name: name, Topic: "a colour", Alias: name, Visibility: "public"})
		if name == "green" {
			alice.user.Join(r)
		}
	}
	bob.Create(RoomOptions{Name: "hidden", Preset: "public_chat"})
	got := must(alice.PublicRooms(t.Context(), &mautrix.ReqPublicRooms{Limit: 2}))(t)
	if len(got.Chunk) != 2 || got.TotalRoomCountEstimate != 3 || got.Chunk[0].Name != "green" || got.Chunk[0].NumJoinedMembers != 2 || got.Chunk[0].CanonicalAlias != "#green:hs.test" {
		t.Fatalf("%+v", got)
	}
	if got = must(alice.PublicRooms(t.Context(), &mautrix.ReqPublicRooms{Limit: 2, Since: got.NextBatch}))(t); len(got.Chunk) != 1 || got.NextBatch != "" || got.PrevBatch == "" {
		t.Fatalf("%+v", got)
	}
	a := alice.ask("POST", v3+"publicRooms", `{"filter":{"generic_search_term":"BLU"}}`).json(t)
	if list := a["chunk"].([]any); len(list) != 1 || list[0].(object)["topic"] != "a colour" {
		t.Fatalf("%+v", a)
	}
	if a := alice.ask("GET", v3+"publicRooms?server=far.test", ""); a.status != 502 {
		t.Fatalf("%+v", a)
	}
	path := v3 + "directory/list/room/" + string(got.Chunk[0].RoomID)
	if a := alice.ask("PUT", path, `{"visibility":"private"}`); a.status != 403 {
		t.Fatalf("%+v", a)
	}
	a = alice.ask("GET", path, "").json(t)
	if a["visibility"] != "public" {
		t.Fatalf("%+v", a)
	}
}

func TestProfiles(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice")
	if err := alice.SetDisplayName(t.Context(), "Alice A."); err != nil {
		t.Fatal(err)
	}
	if err := alice.SetAvatarURL(t.Context(), id.ContentURI{Homeserver: "hs.test", FileID: "pic"}); err != nil {
		t.Fatal(err)
	}
	p := must(alice.GetProfile(t.Context(), "@alice:hs.test"))(t)
	if p.DisplayName != "Alice A." || p.AvatarURL.String() != "mxc://hs.test/pic" {
		t.Fatalf("%+v", p)
	}
	if e := r.State("m.room.member", alice.user.ID); e.Get("displayname") != "Alice A." || e.Get("avatar_url") != "mxc://hs.test/pic" || e.Get("membership") != "join" {
		t.Fatalf("%s", e.Content)
	}
	if n := must(alice.GetDisplayName(t.Context(), "@bob:hs.test"))(t); n.DisplayName != "bob" {
		t.Fatalf("%+v", n)
	}
	_, err := alice.GetProfile(t.Context(), "@nobody:hs.test")
	wantErr(t, err, mautrix.MNotFound)
	_, err = alice.GetAvatarURL(t.Context(), "@bob:hs.test")
	wantErr(t, err, mautrix.MNotFound)
	s.User("bob").SetName("Bob the Second")
	found := must(alice.SearchUserDirectory(t.Context(), "SECOND", 5))(t)
	if len(found.Results) != 1 || found.Results[0].UserID != "@bob:hs.test" || found.Limited {
		t.Fatalf("%+v", found)
	}
	if a := alice.ask("PUT", v3+"profile/@bob:hs.test/displayname", `{"displayname":"x"}`); a.status != 403 {
		t.Fatalf("%+v", a)
	}
	if alice.user.SetAvatar(""); alice.user.Avatar() != "" || alice.user.Name() != "Alice A." {
		t.Fatal(alice.user.Avatar(), alice.user.Name())
	}
}

func TestAccountData(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice")
	rid := id.RoomID(r.ID)
	alice.sync()
	var got object
	wantErr(t, alice.GetAccountData(t.Context(), "x.y", &got), mautrix.MNotFound)
	if err := alice.SetAccountData(t.Context(), "x.y", object{"n": 1}); err != nil {
		t.Fatal(err)
	}
	if err := alice.SetRoomAccountData(t.Context(), rid, "x.z", object{"n": 2}); err != nil {
		t.Fatal(err)
	}
	if err := alice.AddTag(t.Context(), rid, "m.favourite", 0.5); err != nil {
		t.Fatal(err)
	}
	resp := alice.sync()
	if e := resp.AccountData.Events; len(e) != 1 || e[0].Type.Type != "x.y" || e[0].Content.Raw["n"] != 1.0 {
		t.Fatalf("%+v", e)
	}
	if e := resp.Rooms.Join[rid].AccountData.Events; len(e) != 2 {
		t.Fatalf("%+v", e)
	}
	if tags := must(alice.GetTags(t.Context(), rid))(t); tags.Tags["m.favourite"].Order == "" {
		t.Fatalf("%+v", tags)
	}
	if err := alice.RemoveTag(t.Context(), rid, "m.favourite"); err != nil {
		t.Fatal(err)
	}
	if err := alice.GetRoomAccountData(t.Context(), rid, "x.z", &got); err != nil || got["n"] != 2.0 || string(alice.user.Data(r, "m.tag")) != `{"tags":{}}` {
		t.Fatalf("%v, %v, %s", got, err, alice.user.Data(r, "m.tag"))
	}
	if a := alice.ask("PUT", v3+"user/@bob:hs.test/account_data/x.y", "{}"); a.status != 403 {
		t.Fatalf("%+v", a)
	}
}

func TestSpaces(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	space := bob.Create(RoomOptions{Name: "Space", Preset: "public_chat", Creation: object{"type": "m.space"}})
	inner := bob.Create(RoomOptions{Name: "Inner", Preset: "public_chat", Creation: object{"type": "m.space"}})
	a, b, secret := public(s, "A"), public(s, "B"), bob.Create(RoomOptions{Name: "Secret"})
	via := []string{"hs.test"}
	bob.State(space, "m.space.child", b.ID, object{"via": via, "order": "2"})
	bob.State(space, "m.space.child", inner.ID, object{"via": via, "order": "1", "suggested": true})
	bob.State(space, "m.space.child", secret.ID, object{"via": via})
	bob.State(space, "m.space.child", "!gone:hs.test", object{"via": via})
	bob.State(inner, "m.space.child", a.ID, object{"via": via})
	bob.State(inner, "m.space.child", space.ID, object{"via": via}) // a circle
	names := func(req *mautrix.ReqHierarchy) (list []string, next string) {
		t.Helper()
		h := must(alice.Hierarchy(t.Context(), id.RoomID(space.ID), req))(t)
		for _, r := range h.Rooms {
			list = append(list, r.Name)
			if r.Name == "Space" && !req.SuggestedOnly && (len(r.ChildrenState) != 4 || r.RoomType != event.RoomTypeSpace) {
				t.Errorf("%+v", r)
			}
		}
		return list, h.NextBatch
	}
	if got, _ := names(&mautrix.ReqHierarchy{}); !slices.Equal(got, []string{"Space", "Inner", "A", "B"}) {
		t.Errorf("%v", got)
	}
	one := 1
	if got, _ := names(&mautrix.ReqHierarchy{MaxDepth: &one}); !slices.Equal(got, []string{"Space", "Inner", "B"}) {
		t.Errorf("%v", got)
	}
	if got, _ := names(&mautrix.ReqHierarchy{SuggestedOnly: true}); !slices.Equal(got, []string{"Space", "Inner"}) {
		t.Errorf("%v", got)
	}
	got, next := names(&mautrix.ReqHierarchy{Limit: 3})
	rest, end := names(&mautrix.ReqHierarchy{Limit: 3, From: next})
	if len(got) != 3 || !slices.Equal(rest, []string{"B"}) || end != "" {
		t.Errorf("%v and %v", got, rest)
	}
	_, err := alice.Hierarchy(t.Context(), id.RoomID(secret.ID), nil)
	wantErr(t, err, mautrix.MForbidden)
	sum := alice.ask("GET", v1+"room_summary/"+a.ID, "").json(t)
	if sum["name"] != "A" || sum["num_joined_members"] != 1.0 || sum["membership"] != "leave" {
		t.Errorf("%+v", sum)
	}
	if a := alice.ask("GET", v1+"room_summary/"+secret.ID, ""); a.status != 404 {
		t.Errorf("%+v", a)
	}
}

func TestMedia(t *testing.T) {
	s := Start(t, Config{MaxUpload: 1000})
	alice := login(t, s, "alice")
	if limit := must(alice.GetMediaConfig(t.Context()))(t); limit.UploadSize != 1000 {
		t.Fatalf("%+v", limit)
	}
	up := must(alice.UploadBytesWithName(t.Context(), []byte("hello"), "text/plain", "a ü.txt"))(t)
	m := s.Media(up.ContentURI.String())
	if m == nil || m.Name != "a ü.txt" || m.Type != "text/plain" || string(m.Data) != "hello" || m.By != "@alice:hs.test" {
		t.Fatalf("%+v", m)
	}
	resp := must(alice.Download(t.Context(), up.ContentURI))(t)
	defer func() { _ = resp.Body.Close() }()
	if b := must(io.ReadAll(resp.Body))(t); string(b) != "hello" || resp.Header.Get("Content-Type") != "text/plain" || !strings.Contains(resp.Header.Get("Content-Disposition"), "filename") {
		t.Fatalf("%s, %v", b, resp.Header)
	}
	_, err := alice.UploadBytes(t.Context(), make([]byte, 1001), "x/y")
	wantErr(t, err, mautrix.MTooLarge)
	_, err = alice.DownloadBytes(t.Context(), id.ContentURI{Homeserver: "hs.test", FileID: "none"})
	wantErr(t, err, mautrix.MNotFound)
	for path, want := range map[string]int{
		"/_matrix/media/v3/download/hs.test/" + up.ContentURI.FileID: 404, // the old way
		v1 + "media/download/hs.test/" + up.ContentURI.FileID:        401,
	} {
		a, err := s.call(t.Context(), s.Client(), "GET", path, "", "")
		if err != nil || a.status != want {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	made := must(alice.CreateMXC(t.Context()))(t)
	_, err = alice.DownloadBytes(t.Context(), made.ContentURI)
	wantErr(t, err, mautrix.RespError{ErrCode: "M_NOT_YET_UPLOADED"})
	must(alice.UploadMedia(t.Context(), mautrix.ReqUploadMedia{ContentBytes: []byte("later"), ContentType: "text/plain", MXC: made.ContentURI}))(t)
	if b := must(alice.DownloadBytes(t.Context(), made.ContentURI))(t); string(b) != "later" {
		t.Fatalf("%s", b)
	}
}

func TestThumbnail(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	pic := image.NewRGBA(image.Rect(0, 0, 40, 20))
	pic.Set(0, 0, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, pic); err != nil {
		t.Fatal(err)
	}
	m := alice.user.Upload("a.png", "image/png", b.Bytes())
	resp := must(alice.DownloadThumbnail(t.Context(), id.MustParseContentURI(m.URI), 10, 10))(t)
	defer func() { _ = resp.Body.Close() }()
	small, format, err := image.Decode(resp.Body)
	if err != nil || format != "png" || small.Bounds().Dx() != 10 || small.Bounds().Dy() != 5 {
		t.Fatalf("%v, %s, %v", small, format, err)
	}
	text := alice.user.Upload("a.txt", "text/plain", []byte("x"))
	if a := alice.ask("GET", v1+"media/thumbnail/"+strings.TrimPrefix(text.URI, "mxc://")+"?width=10&height=10", ""); a.status != 400 {
		t.Fatalf("%+v", a)
	}
}

func TestKeys(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), login(t, s, "bob")
	keys := `{"device_keys":{"user_id":"@bob:hs.test","device_id":"` + string(bob.DeviceID) + `","algorithms":[],"keys":{},"signatures":{}},
		"one_time_keys":{"signed_curve25519:A":{"key":"a"},"signed_curve25519:B":{"key":"b"}},"fallback_keys":{"signed_curve25519:F":{"key":"f","fallback":true}}}`
	if a := bob.ask("POST", v3+"keys/upload", keys).json(t); a["one_time_key_counts"].(object)["signed_curve25519"] != 2.0 {
		t.Fatalf("%+v", a)
	}
	if resp := bob.sync(); resp.DeviceOTKCount.SignedCurve25519 != 2 || !slices.Equal(resp.FallbackKeys, []id.KeyAlgorithm{id.KeyAlgorithmSignedCurve25519}) {
		t.Fatalf("%+v", resp)
	}
	got := must(alice.QueryKeys(t.Context(), &mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{"@bob:hs.test": {}, "@nobody:hs.test": {}}}))(t)
	if len(got.DeviceKeys["@bob:hs.test"]) != 1 || len(got.DeviceKeys["@nobody:hs.test"]) != 0 {
		t.Fatalf("%+v", got)
	}
	claim := &mautrix.ReqClaimKeys{OneTimeKeys: mautrix.OneTimeKeysRequest{"@bob:hs.test": {bob.DeviceID: id.KeyAlgorithmSignedCurve25519}}}
	for _, want := range []string{"a", "b", "f", "f"} {
		got := must(alice.ClaimKeys(t.Context(), claim))(t)
		for _, k := range got.OneTimeKeys["@bob:hs.test"][bob.DeviceID] {
			if string(k.Key) != want {
				t.Fatalf("%+v, want %s", got, want)
			}
		}
	}
}
