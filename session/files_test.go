package session

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

func (fakeFiles) Copy(context.Context, component.JID, *bridges.File, OpenFile, func(string, error)) bool {
	return false
}

func TestFilesFromTheNetwork(t *testing.T) {
	richly(t, func(w *world) {
		ev := roomLine("$cat", "my *cat*")
		ev.HTML = "my <b>cat</b>"
		ev.Files = []bridges.File{{Ref: "cat", Name: "cat.png", Type: "image/png", Size: 5000, Width: 20, Height: 10}}
		w.say(ev)
		w.expect(`id="\$cat" & <body>\[a file: cat.png \(image/png, 5 KiB\)\]</body>`, `id="\$cat\|2" & <body>my \*cat\*</body> & <b>|<strong>`)

		w.m.files = fakeFiles{}
		w.say(ev)
		link := "https://files.example/alice@home.example/net/cat"
		w.expect(`id="\$cat" & <body>`+link+`</body> & <url>`+link+`</url> & urn:xmpp:sfs:0 & <size>5000</size> & <width>20</width> & target="`+link+`" & !xhtml`,
			`id="\$cat\|2" & <body>my \*cat\*</body> & !sfs`)

		ev = &bridges.Message{Place: bridges.Place{User: "bob"}, From: bridgetest.Person("bob"), ID: "$two", Files: []bridges.File{{Ref: "a"}, {Ref: "b"}}}
		w.say(ev)
		w.expect(`id="\$two" & /a</body>`, `id="\$two\|2" & /b</body>`)
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
		const shared = "<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><desc>a zed</desc></file><sources><url-data xmlns='http://jabber.org/protocol/url-data' target='https://up.example/z'/></sources></file-sharing>"
		w.room(shared + "<body>my *zed*</body>")
		w.called("say #room my *zed* [file https://up.example/z]")
		w.room(shared + "<body>my zed\nhttps://up.example/z</body>")
		w.called("say #room my zed [file https://up.example/z]")
		w.room(shared)
		w.called("say #room  [file https://up.example/z]")
		w.room(shared + "<body>Your client cannot show this.</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body/></fallback>")
		w.called("say #room a zed [file https://up.example/z]")
		w.driver.Caps.Files = false
		w.room(shared + "<body>look</body>")
		w.called("say #room look\nhttps://up.example/z")
		w.driver.Caps.Files = true
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

// copying is a place for files at the user's server that the test opens and shuts.
type copying struct {
	fakeFiles
	asked chan copyRequest
	full  bool
}

// copyRequest is a file that waits to be copied.
type copyRequest struct {
	ref  string
	ctx  context.Context
	open OpenFile
	then func(string, error)
}

func (c *copying) Copy(ctx context.Context, _ component.JID, f *bridges.File, open OpenFile, then func(string, error)) bool {
	if c.full || f.Encrypted {
		return false
	}
	c.asked <- copyRequest{f.Ref, ctx, open, then}
	return true
}

// next is what is to be copied.
func (c *copying) next(w *world) copyRequest {
	w.t.Helper()
	synctest.Wait()
	select {
	case q := <-c.asked:
		return q
	default:
		w.t.Fatal("nothing is copied")
		panic("unreachable")
	}
}

func cat() bridges.File { return bridges.File{Ref: "cat", Name: "cat.png", Type: "image/png"} }

func TestFilesAreCopied(t *testing.T) {
	richly(t, func(w *world) {
		files := &copying{fakeFiles: fakeFiles{none: true}, asked: make(chan copyRequest, 8)}
		w.m.files = files
		ev := roomLine("$cat", "")
		f := cat()
		f.Desc, f.Sticker, f.Thumbnail = "a cat", true, &bridges.Thumbnail{Ref: "small", Type: "image/jpeg", Width: 8, Height: 4}
		ev.Files = []bridges.File{f}
		w.say(ev)
		w.say(roomLine("$next", "what comes next"))
		w.expect() // the room's order is kept
		q := files.next(w)
		m, err := q.open(q.ctx)
		if err != nil || q.ref != "cat" {
			t.Fatalf("%q: %v", q.ref, err)
		}
		if b, _ := io.ReadAll(m); string(b) != "file cat" {
			t.Errorf("%q", b)
		}
		q.then("https://up.example/cat", nil)
		w.expect()
		if q = files.next(w); q.ref != "small" {
			t.Errorf("copied: %q", q.ref)
		}
		q.then("https://up.example/small", nil)
		w.expect(`id="\$cat" & <body>https://up.example/cat</body> & <url>https://up.example/cat</url> & target="https://up.example/cat" & <desc>a cat</desc> & urn:xmpp:stickers:0`+
			` & urn:xmpp:thumbs:1 & uri="https://up.example/small" & media-type="image/jpeg" & width="8" & height="4"`, "what comes next")

		ev = roomLine("$two", "look")
		ev.Files = []bridges.File{cat()}
		w.say(ev)
		files.next(w).then("", bridges.NewError(bridges.TooLarge, "It is large."))
		w.expect(`id="\$two" & <body>\[a file: cat.png \(image/png\)\] It is large.</body> & !sfs`, `id="\$two\|2" & <body>look</body>`)

		w.say(&bridges.Message{Place: bridges.Place{User: "bob"}, From: bridgetest.Person("bob"), ID: "$p", Files: []bridges.File{cat()}})
		files.next(w).then("https://up.example/p", nil)
		w.expect(`from="bob%net@gw.example" & <body>https://up.example/p</body>`)
		w.say(&bridges.Retracted{Place: bridges.Place{User: "bob"}, By: bridgetest.Person("bob"), ID: "$p"})
		w.expect(`<retract & id="\$p"`)
	})
}

// TestFilesThatAreNotCopied go by the gateway's links.
func TestFilesThatAreNotCopied(t *testing.T) {
	const link = "<body>https://files.example/alice@home.example/net/cat</body>"
	richly(t, func(w *world) {
		files := &copying{asked: make(chan copyRequest, 8)}
		w.m.files = files
		line := func(id string) *bridges.Message {
			ev := roomLine(id, "")
			ev.Files = []bridges.File{cat()}
			return ev
		}
		w.say(line("$slow"))
		q := files.next(w)
		time.Sleep(copyTime)
		w.expect(`id="\$slow" & ` + link)
		if q.ctx.Err() == nil {
			t.Error("it is still being copied")
		}
		q.then("https://up.example/late", nil)
		w.expect()

		w.say(line("$refused"))
		files.next(w).then("", bridges.NewError(bridges.Forbidden, "no"))
		w.expect(`id="\$refused" & ` + link)

		sealed := line("$sealed")
		sealed.Files[0].Encrypted = true
		w.say(sealed)
		w.expect(`id="\$sealed" & ` + link)

		old := line("$old")
		old.Replay = true
		w.say(old)
		w.expect(`id="\$old" & ` + link)

		files.full = true
		w.say(line("$full"))
		w.expect(`id="\$full" & ` + link)
	})
}

// TestWhatIsSaidAboutAFile is a line of its own to clients, and none to the network.
func TestWhatIsSaidAboutAFile(t *testing.T) {
	richly(t, func(w *world) {
		w.m.files = fakeFiles{}
		ev := roomLine("$cat", "my cat")
		ev.Files = []bridges.File{cat()}
		w.say(ev)
		w.expect(`id="\$cat"`, `id="\$cat\|2" & <body>my cat</body>`)
		edit := roomLine("$edit", "your cat")
		edit.Files, edit.Replaces = []bridges.File{cat()}, "$cat"
		w.say(edit)
		w.expect(`<body>your cat</body> & <replace & id="\$cat\|2"`)

		w.room("<reactions xmlns='urn:xmpp:reactions:0' id='$cat|2'><reaction>+</reaction></reactions>")
		w.called("react #room $cat +")
		w.news()
		w.say(&bridges.Retracted{Place: bridges.Place{Room: "#room"}, By: bridgetest.Person("bob"), ID: "$cat"})
		w.expect("<retract ", "<retract ")
	})
}

func TestWholeOf(t *testing.T) {
	for id, want := range map[bridges.MessageID]bridges.MessageID{
		"$a": "$a", "$a|2": "$a", "$a|13": "$a", "$a|1": "$a|1", "$a|x": "$a|x", "|2": "|2", "": "", "$a|2|3": "$a|2",
	} {
		if got := wholeOf(id); got != want {
			t.Errorf("wholeOf(%q) = %q", id, got)
		}
	}
	if got := partOf("$a", 2); wholeOf(got) != "$a" || got == "$a" {
		t.Errorf("a part is %q", got)
	}
}
