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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

func TestCardHasThePicture(t *testing.T) {
	scenario(t, func(w *world) {
		w.m.clean = func(_ context.Context, r io.Reader) ([]byte, string, error) {
			raw, err := io.ReadAll(r)
			return append([]byte("clean "), raw...), "image/png", err
		}
		w.join("a", "alice")
		w.from(vcard)
		w.expect(`type="result" & !PHOTO`)
		w.net().Avatar = "face"
		w.from(vcard)
		w.expect(`type="result" & bob & <PHOTO><TYPE>image/png</TYPE><BINVAL>` +
			base64.StdEncoding.EncodeToString([]byte("clean file face")) + `</BINVAL></PHOTO>`)

		w.net().Avatar = "bomb"
		w.m.clean = func(context.Context, io.Reader) ([]byte, string, error) { return nil, "", errors.New("a bomb") }
		w.from(vcard)
		w.expect(`type="result" & bob & !PHOTO`)
		w.m.clean = nil
		w.from(vcard)
		w.expect(`type="result" & bob & !PHOTO`)
	})
}

// cleaned is what becomes of a picture in these tests, and its hash.
func cleaned(ref string) (data, hash string) {
	data = "clean file " + ref
	sum := sha1.Sum([]byte(data))
	return data, hex.EncodeToString(sum[:])
}

// pictured has pictures be shown.
func pictured(w *world) {
	w.m.clean = func(_ context.Context, r io.Reader) ([]byte, string, error) {
		raw, err := io.ReadAll(r)
		if strings.Contains(string(raw), "bad") {
			err = errors.New("no picture")
		}
		return append([]byte("clean "), raw...), "image/png", err
	}
}

func faced(nick, avatar string) *bridges.Contact {
	m := bridgetest.Person(nick)
	m.Avatar = avatar
	return &bridges.Contact{Member: m}
}

func TestContactsHavePictures(t *testing.T) {
	account(t, func(w *world) {
		pictured(w)
		w.friends("Bob")
		_, one := cleaned("one")
		data, two := cleaned("two")
		const x = `<x xmlns="vcard-temp:x:update">`
		event := func(to, hash string) string {
			return `^<message type="headline" & from="bob%net@gw.example" to="` + to + `" & <event xmlns="http://jabber.org/protocol/pubsub#event"><items node="urn:xmpp:avatar:metadata"><item` + hash
		}

		// The hash comes once it is known, then with every presence.
		w.say(faced("Bob", "one"))
		w.expect(`^<presence from="bob%net@gw.example" & <x xmlns="vcard-temp:x:update"/>`,
			`^<presence from="bob%net@gw.example" & `+x+`<photo>`+one+`</photo>`, event("alice@home.example", ` id="`+one+`"><metadata xmlns="urn:xmpp:avatar:metadata"><info bytes="14" id="`+one+`" type="image/png"/>`))
		w.present("Bob", func(p *bridges.Present) { p.Member.Away = true })
		w.expect(`<show>away & ` + x + `<photo>` + one)
		w.from("<presence type='probe' from='ALICE/new' to='bob%net@GW'/>")
		w.expect(`to="alice@home.example/new" & `+x+`<photo>`+one, event("alice@home.example/new", ` id="`+one))

		// Another picture, and none.
		w.say(faced("Bob", "two"))
		w.expect(`<x xmlns="vcard-temp:x:update"/>`, x+`<photo>`+two, event("alice@home.example", ` id="`+two))
		const get = "<iq type='get' id='p' from='ALICE/a' to='bob%net@GW'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
		w.from(get + "<items node='urn:xmpp:avatar:metadata'/></pubsub></iq>")
		w.expect(`type="result" id="p" & <pubsub xmlns="http://jabber.org/protocol/pubsub"><items node="urn:xmpp:avatar:metadata"><item id="` + two + `"><metadata`)
		w.from(get + "<items node='urn:xmpp:avatar:data'><item id='" + two + "'/></items></pubsub></iq>")
		w.expect(`<item id="` + two + `"><data xmlns="urn:xmpp:avatar:data">` + base64.StdEncoding.EncodeToString([]byte(data)) + `</data>`)
		for _, ask := range []string{"<items node='urn:xmpp:avatar:data'><item id='" + one + "'/></items>", "<items node='something'/>", "<subscribe/>"} {
			w.from(get + ask + "</pubsub></iq>")
			w.expect(`type="error" & item-not-found`)
		}
		w.say(faced("Bob", ""))
		w.expect(x+`<photo/>`, event("alice@home.example", `><metadata xmlns="urn:xmpp:avatar:metadata"/>`))
		w.say(faced("Bob", "bad"))
		w.expect(`<x xmlns="vcard-temp:x:update"/>`, x+`<photo/>`)
	})
}

// However many contacts have pictures, they are fetched one after the other, each once
// for all users.
func TestPicturesAreNoStorm(t *testing.T) {
	account(t, func(w *world) {
		var mu sync.Mutex
		at, most, fetched := 0, 0, 0
		w.m.clean = func(_ context.Context, r io.Reader) ([]byte, string, error) {
			mu.Lock()
			at++
			fetched++
			most = max(most, at)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			at--
			mu.Unlock()
			raw, err := io.ReadAll(r)
			return raw, "image/png", err
		}
		for i := range maxWanted + 50 {
			nick := fmt.Sprintf("p%d", i)
			w.say(faced(nick, "face of "+nick))
			w.deliver("<presence type='subscribe' from='ALICE' to='" + nick + "%net@GW'/>")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if most != 1 || fetched != maxWanted {
			t.Errorf("%d pictures, %d at once", fetched, most)
		}
		shown := 0
		for _, s := range w.news() {
			if strings.Contains(s, "<photo>") {
				shown++
			}
		}
		if shown != fetched {
			t.Errorf("%d pictures were shown of %d", shown, fetched)
		}
	})
}

func TestPicturesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newPictures()
		key := func(i int) pictureKey { return pictureKey{network: "net", ref: fmt.Sprint(i)} }
		big := make([]byte, maxPictureBytes/4)
		for i := range 6 {
			c.put(key(i), picture{data: big, hash: "h"})
			c.get(key(0))
		}
		for i, want := range []bool{true, false, false, true, true, true} {
			if _, known := c.get(key(i)); known != want {
				t.Errorf("picture %d is known: %t", i, known)
			}
		}
		c.put(key(7), picture{})
		if _, known := c.get(key(7)); !known {
			t.Error("it is forgotten that there is no picture")
		}
		time.Sleep(pictureAgain + 1)
		if _, known := c.get(key(7)); known {
			t.Error("it is never tried again")
		}
		for i := range 2 * maxPictures {
			c.put(key(100+i), picture{hash: "h"})
		}
		if len(c.entries) != maxPictures || c.used.Len() != maxPictures {
			t.Errorf("%d pictures are remembered", len(c.entries))
		}
	})
}

// In rooms the pictures of those are shown who say something.
func TestOccupantsHavePictures(t *testing.T) {
	scenario(t, func(w *world) {
		pictured(w)
		w.join("phone", "alice")
		bob := bridgetest.Person("bob")
		bob.Avatar = "face"
		w.net().SetMembers("#room", bob)
		_, hash := cleaned("face")
		say := func(text string) {
			w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bob, Body: text})
		}
		say("hello")
		w.expect(`<body>hello`, `^<presence from="#room%net@gw.example/bob" to="alice@home.example/phone" & <x xmlns="vcard-temp:x:update"><photo>`+hash+` & muc#user`)
		say("again")
		w.expect(`<body>again`)
		w.from("<iq type='get' id='v' from='ALICE/phone' to='#room%net@GW/bob'><vCard xmlns='vcard-temp'/></iq>")
		data, _ := cleaned("face")
		w.expect(`<PHOTO> & ` + base64.StdEncoding.EncodeToString([]byte(data)))
		w.from("<presence from='ALICE/laptop' to='#room%net@GW/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		if got := w.news(); !strings.Contains(got[0], "<photo>"+hash) {
			t.Errorf("another client is shown %s", got[0])
		}
	})
}
