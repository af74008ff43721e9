package matrix

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// picture is a PNG picture with that many pixels on a side, of noise: about three bytes
// a pixel.
func picture(p *pair, side int) []byte {
	p.Helper()
	m := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			m.Set(x, y, color.RGBA{uint8(rand.Uint32()), uint8(rand.Uint32()), uint8(rand.Uint32()), 255})
		}
	}
	var b bytes.Buffer
	p.try(png.Encode(&b, m))
	return b.Bytes()
}

// get reads what is at an address.
func (p *pair) get(url string) []byte {
	p.Helper()
	req := must[*http.Request](p)(http.NewRequestWithContext(p.wait(), http.MethodGet, url, nil))
	resp := must[*http.Response](p)(http.DefaultClient.Do(req))
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		p.Fatalf("%s answers %s", url, resp.Status)
	}
	return must[[]byte](p)(io.ReadAll(resp.Body))
}

// shared waits for a file in a room, and returns its address as it is in the text, for
// clients that know XEP-0066, and for those that know XEP-0447.
func (p *pair) shared(from, name string) string {
	p.Helper()
	file := p.expect(Message(FromBare(from), Has("jabber:x:oob", "x"), Where("file "+name, func(n *Node) bool {
		return n.Child("urn:xmpp:sfs:0", "file-sharing").First("name").Content() == name
	})))
	url := file.First("url").Content()
	if body := file.First("body").Content(); body != url || file.First("url-data").Attr("target") != url {
		p.Errorf("the address is told in different ways: %s", file)
	}
	return url
}

// keep has ben put a file where his server keeps files (XEP-0363), and returns its
// address.
func (p *pair) keep(name, typ string, data []byte) string {
	p.Helper()
	answer := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", UploadDomain, `<request xmlns='urn:xmpp:http:upload:0' filename='`+name+`' size='`+
		strconv.Itoa(len(data))+`' content-type='`+typ+`'/>`))
	put, get := answer.First("put"), answer.First("get")
	if put == nil || get == nil {
		p.Fatalf("there is no place for a file: %s", answer)
	}
	req := must[*http.Request](p)(http.NewRequestWithContext(p.wait(), http.MethodPut, put.Attr("url"), bytes.NewReader(data)))
	for _, h := range put.All("header") {
		req.Header.Set(h.Attr("name"), h.Content())
	}
	req.Header.Set("Content-Type", typ)
	resp := must[*http.Response](p)(http.DefaultClient.Do(req))
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		p.Fatalf("the file is not taken: %s", resp.Status)
	}
	return get.Attr("url")
}

func isLink(s *site, url string) bool { return strings.HasPrefix(url, s.gateway.Files+"/") }

// TestFilesToXMPP: they are copied to the user's server, or too large for that.
func TestFilesToXMPP(t *testing.T) {
	everywhere(t, "files", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))
		room := p.enter("")
		cat := picture(p, 50)
		p.id(p.anna.SendFile(p.wait(), garden, cat, "image/png", "my cat.png"))
		url := p.shared(room, "my cat.png")
		if isLink(p.site, url) || !bytes.Equal(p.get(url), cat) {
			p.Errorf("%s is not the picture on ben's server", url)
		}
		large := picture(p, 300)
		if len(large) <= maxUpload {
			p.Fatalf("%d bytes are not too many", len(large))
		}
		p.id(p.anna.SendFile(p.wait(), garden, large, "image/png", "large.png"))
		url = p.shared(room, "large.png")
		if !isLink(p.site, url) || !bytes.Equal(p.get(url), large) {
			p.Errorf("%s is not the large picture at a link of the gateway's", url)
		}
		p.id(p.anna.Say(p.wait(), garden, "you see"))
		p.expect(Message(FromBare(room), Body("you see")))
	})
}

// TestEncryptedFile: both ways through a room that the homeserver cannot read.
func TestEncryptedFile(t *testing.T) {
	everywhere(t, "sealedfile", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true, Encrypted: true}))
		room := p.enter("")
		p.hears(InRoom(garden), Membership(p.benID, "join"))
		must[[]string](p)(p.anna.AwaitDevices(p.wait(), p.benID, 1))
		cat := picture(p, 50)
		p.id(p.anna.SendFile(p.wait(), garden, cat, "image/png", "cat.png"))
		url := p.shared(room, "cat.png")
		if isLink(p.site, url) || !bytes.Equal(p.get(url), cat) {
			p.Errorf("%s is not the picture on ben's server", url)
		}
		dog := p.keep("dog.png", "image/png", picture(p, 40))
		p.say(room, dog, `<x xmlns='jabber:x:oob'><url>`+Escape(dog)+`</url></x>`)
		heard := p.hears(InRoom(garden), Sender(p.benID), Encrypted(), Content("m.image", "msgtype"))
		if got := must[[]byte](p)(p.anna.Download(p.wait(), heard)); !bytes.Equal(got, p.get(dog)) {
			p.Errorf("anna got %d bytes", len(got))
		}
	})
}

// TestFilesToMatrix: an address with XEP-0066, and a file with XEP-0447 and a caption's
// worth of facts.
func TestFilesToMatrix(t *testing.T) {
	everywhere(t, "tofiles", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))
		room := p.enter("")
		dog := picture(p, 100)
		url := p.keep("dog.png", "image/png", dog)
		p.say(room, url, `<x xmlns='jabber:x:oob'><url>`+Escape(url)+`</url></x>`)
		heard := p.hears(InRoom(garden), Sender(p.benID), Content("m.image", "msgtype"), Content("dog.png", "body"),
			Content("image/png", "info", "mimetype"), Content(float64(len(dog)), "info", "size"), Content(100.0, "info", "w"), Content(100.0, "info", "h"))
		if got := must[[]byte](p)(p.anna.Download(p.wait(), heard)); !bytes.Equal(got, dog) {
			p.Errorf("anna got %d bytes", len(got))
		}

		tree := bytes.Buffer{} // of one colour: many pixels in few bytes
		p.try(png.Encode(&tree, image.NewGray(image.Rect(0, 0, 960, 600))))
		url = p.keep("x.bin", "image/png", tree.Bytes())
		p.say(room, url, `<file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'><file xmlns='urn:xmpp:file:metadata:0'><media-type>image/png</media-type>`+
			`<name>tree.png</name><size>`+strconv.Itoa(tree.Len())+`</size></file><sources><url-data xmlns='http://jabber.org/protocol/url-data' target='`+Escape(url)+`'/></sources></file-sharing>`)
		heard = p.hears(InRoom(garden), Sender(p.benID), Content("m.image", "msgtype"), Content("tree.png", "body"), Content(960.0, "info", "w"),
			Content("image/jpeg", "info", "thumbnail_info", "mimetype"), Content(480.0, "info", "thumbnail_info", "w"), Content(300.0, "info", "thumbnail_info", "h"))
		if got := must[[]byte](p)(p.anna.Download(p.wait(), heard)); !bytes.Equal(got, tree.Bytes()) {
			p.Errorf("anna got %d bytes", len(got))
		}
		small, _ := heard.Value("info", "thumbnail_url").(string)
		if got := must[[]byte](p)(p.anna.DownloadURI(p.wait(), small)); len(got) == 0 {
			p.Error("the thumbnail is empty")
		}

		nothing := p.gateway.Files + "/nothing"
		p.say(room, nothing, `<x xmlns='jabber:x:oob'><url>`+nothing+`</url></x>`)
		p.hears(InRoom(garden), Sender(p.benID), Text(nothing))
	})
}

// TestFileLinks: where nothing is copied, files are read through the gateway.
func TestFileLinks(t *testing.T) {
	at(t, shared.links, "links", func(p *pair) {
		chat := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Direct: true, Invite: []string{p.benID}}))
		p.expect(Presence(From(p.annaAddress), Type("subscribe")))
		p.send(`<presence to='%s' type='subscribed'/>`, p.annaAddress)
		p.hears(InRoom(chat), Membership(p.benID, "join"))
		cat := picture(p, 50)
		p.id(p.anna.SendFile(p.wait(), chat, cat, "image/png", "cat.png"))
		url := p.shared(p.annaAddress, "cat.png")
		if !isLink(p.site, url) || !bytes.Equal(p.get(url), cat) {
			p.Errorf("%s is not the picture at a link of the gateway's", url)
		}
	})
}

// TestCaption: what is said about a file, its thumbnail, and a sticker.
func TestCaption(t *testing.T) {
	everywhere(t, "caption", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))
		room := p.enter("")
		cat, small := picture(p, 50), picture(p, 5)
		uri := p.id(p.anna.Upload(p.wait(), cat, "image/png", "cat.png"))
		line := p.id(p.anna.SendEvent(p.wait(), garden, "m.room.message", map[string]any{
			"msgtype": "m.image", "body": "my cat", "filename": "cat.png", "url": uri, "info": map[string]any{
				"mimetype": "image/png", "size": len(cat), "thumbnail_url": p.id(p.anna.Upload(p.wait(), small, "image/png", "")), "thumbnail_info": map[string]any{"mimetype": "image/png", "w": 5, "h": 5},
			},
		}))
		file := p.expect(Message(FromBare(room), Has("urn:xmpp:sfs:0", "file-sharing"), Where("with a thumbnail", func(n *Node) bool { return n.First("thumbnail") != nil })))
		if got := p.get(file.First("thumbnail").Attr("uri")); !bytes.Equal(got, small) {
			p.Errorf("the thumbnail has %d bytes", len(got))
		}
		said := p.expect(Message(FromBare(room), Body("my cat")))
		p.send(`<message to='%s' type='groupchat' id='%s'><reactions xmlns='urn:xmpp:reactions:0' id='%s'><reaction>🐈</reaction></reactions><store xmlns='urn:xmpp:hints'/></message>`,
			room, p.xmpp.NewID(), stanzaIDOf(said))
		p.hears(Sender(p.benID), Reacts(line, "🐈"))

		p.id(p.anna.SendEvent(p.wait(), garden, "m.sticker", map[string]any{"body": "a purring cat", "url": uri, "info": map[string]any{"mimetype": "image/png"}}))
		sticker := p.expect(Message(FromBare(room), Has("urn:xmpp:stickers:0", "sticker")))
		if got := p.get(sticker.First("url").Content()); !bytes.Equal(got, cat) || sticker.First("desc").Content() != "a purring cat" {
			p.Errorf("%d bytes: %s", len(got), sticker)
		}

		url := p.keep("dog.png", "image/png", cat)
		p.say(room, "my dog", `<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><media-type>image/png</media-type><name>dog.png</name></file>`+
			`<sources><url-data xmlns='http://jabber.org/protocol/url-data' target='`+Escape(url)+`'/></sources></file-sharing>`)
		p.hears(InRoom(garden), Sender(p.benID), Content("m.image", "msgtype"), Content("dog.png", "filename"), Content("my dog", "body"))
	})
}
