package session

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"transportd/bridges"
)

// painted is a world whose pictures can be shown; fetched are those that were.
func painted(t *testing.T, f func(w *world, fetched *[]string)) {
	t.Helper()
	scenario(t, func(w *world) {
		var fetched []string
		w.m.clean = func(_ context.Context, r io.Reader) ([]byte, string, error) {
			raw, err := io.ReadAll(r)
			fetched = append(fetched, strings.TrimPrefix(string(raw), "file "))
			if strings.Contains(string(raw), "bomb") {
				err = errors.New("a bomb")
			}
			return raw, "image/png", err
		}
		f(w, &fetched)
	})
}

func hashOf(ref string) string {
	sum := sha1.Sum([]byte("file " + ref))
	return hex.EncodeToString(sum[:])
}

// A room's picture is fetched when a client is there to see it, once for all of them,
// and told in the ways clients look for it.
func TestRoomHasAPicture(t *testing.T) {
	painted(t, func(w *world, fetched *[]string) {
		w.driver.About = map[string]*bridges.RoomInfo{"#room": {Room: "#room", Name: "The Room", Description: "where we meet", Avatar: "door"}}
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`code="110"`, `<subject`, `type="groupchat" & code="104"`,
			`<presence from="#room%net@gw.example" to="alice@home.example/a"><x xmlns="vcard-temp:x:update"><photo>`+hashOf("door")+`</photo></x></presence>`)
		info := w.infoOf(theRoom)
		for _, want := range []string{`var="vcard-temp"`, `var="muc#roominfo_avatarhash" type="text-multi"><value>` + hashOf("door") + `</value>`} {
			if !strings.Contains(info, want) {
				t.Errorf("no %s in %s", want, info)
			}
		}
		w.from("<iq type='get' id='v' from='ALICE/a' to='#room%net@GW'><vCard xmlns='vcard-temp'/></iq>")
		w.expect(`type="result" & <FN>The Room</FN> & <DESC>where we meet & <PHOTO><TYPE>image/png</TYPE><BINVAL>` + base64.StdEncoding.EncodeToString([]byte("file door")) + `</BINVAL>`)
		w.from("<presence from='ALICE/b' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`code="110"`, `<subject`, `<presence from="#room%net@gw.example" to="alice@home.example/b" & `+hashOf("door"))
		if fmt.Sprint(*fetched) != "[door]" {
			t.Errorf("fetched are %q", *fetched)
		}
		w.about(func(i *bridges.RoomInfo) { i.Avatar = "bell" })
		w.expect(`/a" & code="104"`, `/b" & code="104"`, `/a" & code="104"`, `/b" & code="104"`, `/a" & `+hashOf("bell"), `/b" & `+hashOf("bell"))
		w.about(func(i *bridges.RoomInfo) { i.Avatar = "" })
		w.expect(`/a" & code="104"`, `/b" & code="104"`, `/a" & code="104"`, `/b" & code="104"`, `/a" & <photo></photo>|<photo/>`, `/b" & <photo`)
		if info := w.infoOf(theRoom); strings.Contains(info, "avatarhash") {
			t.Errorf("the room is %s", info)
		}
		w.from("<iq type='set' id='v' from='ALICE/a' to='#room%net@GW'><vCard xmlns='vcard-temp'/></iq>")
		w.expect(`type="error" & <forbidden`)
	})
}

// What cannot be shown is not told; it is tried again when the next client comes.
func TestRoomPictureThatIsNone(t *testing.T) {
	painted(t, func(w *world, fetched *[]string) {
		w.driver.About = map[string]*bridges.RoomInfo{"#room": {Room: "#room", Name: "The Room", Avatar: "bomb"}}
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`code="110"`, `<subject`)
		w.from("<presence from='ALICE/b' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`code="110"`, `<subject`)
		w.from("<iq type='get' id='v' from='ALICE/a' to='#room%net@GW'><vCard xmlns='vcard-temp'/></iq>")
		w.expect(`type="result" & <FN>The Room & !PHOTO`)
		if len(*fetched) != 1 { // it is not tried again for a while
			t.Errorf("fetched are %q", *fetched)
		}
		w.from("<iq type='get' id='v' from='ALICE/a' to='#nowhere%net@GW'><vCard xmlns='vcard-temp'/></iq>")
		w.expect(`type="error" & <item-not-found`)
		w.m.clean = func(context.Context, io.Reader) ([]byte, string, error) { panic("a fault of a decoder") }
		w.from("<presence from='ALICE/c' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`code="110"`, `<subject`)
		w.say(&bridges.RoomInfo{Room: "#room", Name: "The Room", Avatar: "another"})
		w.expect(`/a" & code="104"`, `/b" & code="104"`, `/c" & code="104"`)
		if n := w.m.Stats().Panics; n != 1 {
			t.Errorf("%d panics", n)
		}
		w.line("bob", "still here")
		w.expect(`/a" & still here`, `/b" & still here`, `/c" & still here`)
	})
}
