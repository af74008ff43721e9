package session

import (
	"context"
	"io"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

// fakeFiles hands files over by name.
type fakeFiles struct{ none bool }

func (f fakeFiles) Link(user string, network bridges.NetworkID, file *bridges.File) string {
	if f.none {
		return ""
	}
	return "https://files.example/" + user + "/" + string(network) + "/" + file.Ref
}

func (fakeFiles) Upload(address, name, typ string, size int64) *bridges.Upload {
	if !strings.HasPrefix(address, "https://") {
		return nil
	}
	return &bridges.Upload{Name: name, Type: typ, Size: size, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(address)), nil
	}}
}

func TestFilesFromTheNetwork(t *testing.T) {
	richly(t, func(w *world) {
		ev := roomLine("$cat", "my *cat*")
		ev.HTML = "my <b>cat</b>"
		ev.Files = []bridges.File{{Ref: "cat", Name: "cat.png", Type: "image/png", Size: 5000, Width: 20, Height: 10}}
		w.say(ev)
		w.expect(`id="\$cat" & <body>\[a file: cat.png \(image/png, 5 KiB\)\]</body>`, `id="\$cat-2" & <body>my \*cat\*</body> & <b>|<strong>`)

		w.m.files = fakeFiles{}
		w.say(ev)
		link := "https://files.example/alice@home.example/net/cat"
		w.expect(`id="\$cat" & <body>`+link+`</body> & <url>`+link+`</url> & urn:xmpp:sfs:0 & <size>5000</size> & <width>20</width> & target="`+link+`" & !xhtml`,
			`id="\$cat-2" & <body>my \*cat\*</body> & !sfs`)

		ev = &bridges.Message{Place: bridges.Place{User: "bob"}, From: bridgetest.Person("bob"), ID: "$two", Files: []bridges.File{{Ref: "a"}, {Ref: "b"}}}
		w.say(ev)
		w.expect(`id="\$two" & /a</body>`, `id="\$two-2" & /b</body>`)
	})
}

func TestFilesToTheNetwork(t *testing.T) {
	richly(t, func(w *world) {
		const oob = "<body>https://up.example/x.png</body><x xmlns='jabber:x:oob'><url>https://up.example/x.png</url></x>"
		w.m.files = fakeFiles{}
		w.room(oob) // the network carries no files
		w.called("say #room https://up.example/x.png [link https://up.example/x.png]")
		w.driver.Caps.Files = true
		w.room(oob)
		w.called("say #room  [file https://up.example/x.png]")
		if got := w.news(); !strings.Contains(got[len(got)-1], "jabber:x:oob") {
			t.Errorf("reflected: %s", got)
		}
		w.room("<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><name>refuse it</name><media-type>text/x</media-type></file><sources><url-data xmlns='http://jabber.org/protocol/url-data' target='https://up.example/y'/></sources></file-sharing><body>https://up.example/y</body>")
		w.called("say #room refuse it [file https://up.example/y]")
		w.called("say #room https://up.example/y") // what cannot be carried is said to be there
		w.from("<message from='ALICE/phone' to='bob%net@GW' type='chat' id='f'>" + oob + "</message>")
		w.called("say bob  [file https://up.example/x.png]")
		w.from("<message from='ALICE/phone' to='bob%net@GW' type='chat' id='f'><body>aesgcm://up.example/x</body><x xmlns='jabber:x:oob'><url>aesgcm://up.example/x</url></x></message>")
		w.called("say bob aesgcm://up.example/x [link aesgcm://up.example/x]")
	})
}

func TestOpenMedia(t *testing.T) {
	scenario(t, func(w *world) {
		user := w.user()
		if _, err := w.m.OpenMedia(w.t.Context(), user, "net", "cat"); bridges.AsError(err).Kind != bridges.Offline {
			t.Errorf("without a link: %v", err)
		}
		w.join("phone", "alice")
		m, err := w.m.OpenMedia(w.t.Context(), user, "net", "cat")
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(m); string(b) != "file cat" {
			t.Errorf("%q", b)
		}
		stranger := component.JID{Local: "x", Domain: "elsewhere.example"}
		if _, err := w.m.OpenMedia(w.t.Context(), stranger, "net", "cat"); bridges.AsError(err).Kind != bridges.NotFound {
			t.Errorf("who may not use the gateway: %v", err)
		}
	})
}
