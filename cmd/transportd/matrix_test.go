package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"transportd/internal/matrixtest"
	"transportd/internal/xmpptest"
)

// matrixWorld is the whole program between a scripted XMPP server and a small
// homeserver.
type matrixWorld struct {
	*world
	hs            *matrixtest.Server
	juliet, romeo *matrixtest.User
	files         string // address of the listener for files
}

const mx = "matrix.example.org"

func newMatrixWorld(t *testing.T) *matrixWorld {
	t.Helper()
	w := &matrixWorld{world: &world{t: t}, hs: matrixtest.New(t), files: freeAddress(t)}
	w.xmpp = xmpptest.NewServer(t, mx, "the secret")
	w.file = filepath.Join(t.TempDir(), "matrix.toml")
	if code, _, stderr := cli(t, "init", "--config", w.file, "--domain", mx, "--driver", "matrix", "--server", w.xmpp.Addr(), "--state", filepath.Dir(w.file)); code != exitOK {
		t.Fatal(stderr)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(w.file), "matrix.secret"), []byte("the secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	edit(t, w.file, "# allow_private = false                #", "allow_private = true #", `# listen = "127.0.0.1:9347"`, `listen = "127.0.0.1:0"`,
		`# listen = "127.0.0.1:9348"`, fmt.Sprintf("listen = %q", w.files), `# url = "https://files.example.org"`, `url = "http://files.example.org"`,
		`# upload = "auto"`, `upload = "upload.example.org"`)
	w.juliet, w.romeo = w.hs.User("juliet"), w.hs.User("romeo")
	w.juliet.SetName("Juliet")
	w.romeo.SetName("Romeo")
	w.begin()
	return w
}

// freeAddress is an address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// register logs juliet in and waits until she is told so.
func (w *matrixWorld) register() {
	w.t.Helper()
	w.stream.Send(`<iq type='set' id='reg' from='%s' to='%s'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>`+
		`<field var='FORM_TYPE'><value>jabber:iq:register</value></field><field var='user'><value>@juliet:hs.test</value></field>`+
		`<field var='password'><value>%s</value></field><field var='homeserver'><value>%s</value></field></x></query></iq>`, balcony, mx, w.juliet.Password, w.hs.URL)
	w.stream.Until("iq[@type='result'][@id='reg']")
	w.stream.Send(`<presence type='subscribe' from='juliet@example.org' to='%s'/>`, mx)
	w.stream.Until(fmt.Sprintf("presence[@from='%s'][@to='juliet@example.org']/status[text()='matrix: Connected as Juliet.']", mx))
}

func TestScenarioMatrixRoom(t *testing.T) {
	w := newMatrixWorld(t)
	verona := w.romeo.Create(matrixtest.RoomOptions{Preset: "public_chat", Alias: "Verona", Name: "Verona", Topic: "In fair Verona"})
	w.romeo.Say(verona, "two households")
	w.register()
	const room = `#\56erona%hs.test@` + mx
	w.stream.Send(`<presence from='%s' to='%s/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, balcony, room)
	w.stream.Until(fmt.Sprintf("presence[@from='%s/Romeo'][@to='%s']/x/item[@affiliation='owner'][@jid='romeo%%hs.test@%s']", room, balcony, mx))
	w.stream.Until(fmt.Sprintf("presence[@from='%s/Juliet'][@to='%s']/x/status[@code='110']", room, balcony))
	w.stream.Until(fmt.Sprintf("message[@type='groupchat'][@from='%s/Romeo']/body[text()='two households']", room))
	w.stream.Until("message/subject[text()='In fair Verona']")

	w.stream.Send(`<message type='groupchat' id='m1' from='%s' to='%s'><body>but *soft*</body></message>`, balcony, room)
	w.stream.Until(fmt.Sprintf("message[@type='groupchat'][@id='m1'][@from='%s/Juliet']/body[text()='but *soft*']", room))
	sent := last(verona)
	if sent.Body() != "but *soft*" || sent.Get("formatted_body") != "but <strong>soft</strong>" || sent.Sender != w.juliet.ID {
		t.Errorf("sent: %+v", sent)
	}
	w.stream.Send(`<message type='groupchat' id='m2' from='%s' to='%s'><body>but hard</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/></message>`, balcony, room)
	w.stream.Until("message[@id='m2']/replace[@id='m1']")
	if edit := last(verona); !strings.Contains(string(edit.Content), `"m.replace"`) || !strings.Contains(string(edit.Content), sent.ID) {
		t.Errorf("edit: %s", edit.Content)
	}

	light := w.romeo.Say(verona, "what light")
	w.stream.Until(fmt.Sprintf("message[@type='groupchat'][@from='%s/Romeo']/body[text()='what light']", room))
	w.romeo.Edit(verona, light, "what bright light")
	w.stream.Until(fmt.Sprintf("message[@from='%s/Romeo']/replace[@id='%s']", room, light))
	w.romeo.React(verona, light, "🌞")
	w.stream.Until(fmt.Sprintf("message[@from='%s/Romeo']/reactions/reaction[text()='🌞']", room))
	w.romeo.Redact(verona, light, "")
	w.stream.Until(fmt.Sprintf("message[@from='%s/Romeo']/retract", room))
	w.romeo.SetTopic(verona, "A balcony")
	w.stream.Until("message/subject[text()='A balcony']")
	tybalt := w.hs.User("tybalt")
	tybalt.Join(verona)
	w.stream.Until(fmt.Sprintf("presence[@from='%s/tybalt'][not(@type)]", room))
	w.romeo.Kick(verona, tybalt, "a plague")
	w.stream.Until(fmt.Sprintf("presence[@from='%s/tybalt'][@type='unavailable']/x/status[@code='307']", room))

	// A file is copied to where the XMPP server keeps files.
	put := make(chan string, 1)
	shelf := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		put <- r.Method + " " + r.Header.Get("Authorization") + " " + string(b)
		rw.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(shelf.Close)
	w.romeo.File(verona, "m.image", w.romeo.Upload("cat.png", "image/png", []byte("meow")))
	asked, _ := w.stream.Until("iq[@type='get'][@to='upload.example.org'][@from='" + mx + "']/query")
	w.stream.Send(`<iq type='result' id='%s' from='upload.example.org' to='%s'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:http:upload:0'/>`+
		`<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:http:upload:0</value></field><field var='max-file-size'><value>1000</value></field></x></query></iq>`, asked.Attr("id"), mx)
	asked, _ = w.stream.Until("iq[@type='get'][@to='upload.example.org']/request[@filename='cat.png'][@size='4'][@content-type='image/png']")
	w.stream.Send(`<iq type='result' id='%s' from='upload.example.org' to='%s'><slot xmlns='urn:xmpp:http:upload:0'><put url='%s/put'><header name='Authorization'>Bearer x</header></put><get url='https://up.example.org/cat.png'/></slot></iq>`, asked.Attr("id"), mx, shelf.URL)
	w.stream.Until("message[@type='groupchat']/x/url[text()='https://up.example.org/cat.png']")
	if got := <-put; got != "PUT Bearer x meow" {
		t.Errorf("the server got %q", got)
	}

	// A larger one than that takes is read through a link that only the gateway can make.
	large := strings.Repeat("meow", 300)
	w.romeo.File(verona, "m.image", w.romeo.Upload("cat.png", "image/png", []byte(large)))
	found, _ := w.stream.Until("message/x/url")
	_, shown, _ := strings.Cut(found.String(), "<url>")
	shown, _, _ = strings.Cut(shown, "<")
	path, _, _ := strings.Cut(strings.TrimPrefix(shown, "http://files.example.org"), "?")
	resp, err := http.Get("http://" + w.files + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != large || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("the file is %q, %v, %v", b, resp.Header, err)
	}
	w.end()
}

func last(r *matrixtest.Room) *matrixtest.Event {
	events := r.Events()
	return events[len(events)-1]
}

func TestScenarioMatrixChat(t *testing.T) {
	w := newMatrixWorld(t)
	w.register()
	chat := w.romeo.Direct(w.juliet)
	w.stream.Until("presence[@type='subscribe'][@from='romeo%hs.test@" + mx + "'][@to='juliet@example.org']")
	w.stream.Send(`<presence type='subscribed' from='juliet@example.org' to='romeo%%hs.test@%s'/>`, mx)
	w.hs.Wait(t, "juliet in the chat", func() bool {
		for _, ev := range chat.Events() {
			if ev.Type == "m.room.member" && ev.Sender == w.juliet.ID && strings.Contains(string(ev.Content), `"join"`) {
				return true
			}
		}
		return false
	})
	w.romeo.Say(chat, "is it you?")
	w.stream.Until("message[@type='chat'][@from='romeo%hs.test@" + mx + "'][@to='juliet@example.org']/body[text()='is it you?']")
	w.stream.Send(`<message type='chat' id='p1' from='%s' to='romeo%%hs.test@%s'><body>it is</body><request xmlns='urn:xmpp:receipts'/></message>`, balcony, mx)
	w.stream.Until("message/received[@id='p1']")
	if line := last(chat); line.Body() != "it is" || line.Sender != w.juliet.ID {
		t.Errorf("sent: %+v", line)
	}
	w.romeo.Typing(chat, true)
	w.stream.Until("message[@from='romeo%hs.test@" + mx + "']/composing")
	// A killed process: nothing is lost, nothing comes twice.
	w.program.signal(syscall.SIGKILL)
	w.program.exit()
	w.romeo.Say(chat, "while you were gone")
	w.begin()
	w.stream.Until("message[@from='romeo%hs.test@" + mx + "']/body[text()='while you were gone']")
	w.romeo.Say(chat, "and now")
	w.stream.Until("message[@from='romeo%hs.test@" + mx + "']/body[text()='and now']")
	w.end()
}
