package matrix

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// encryptedPart is how an encrypted file lies at a homeserver.
const encryptedPart = `{"url":"mxc://e.example/Sealed","v":"v2","key":{"kty":"oct","key_ops":["encrypt","decrypt"],"alg":"A256CTR","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","ext":true},
	"iv":"AAAAAAAAAAAAAAAAAAAAAA","hashes":{"sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}`

func said(body string) content { return content{What: contentMessage, Body: body} }

func TestReadContent(t *testing.T) {
	const msg = "m.room.message"
	uri := id.ContentURI{Homeserver: "e.example", FileID: "Abc_-1"}
	for _, c := range []struct {
		kind, json string
		want       content
	}{
		// Text.
		{msg, `{"msgtype":"m.text","body":"a\nb"}`, said("a\nb")},
		{msg, `{"msgtype":"m.notice","body":"a"}`, content{What: contentMessage, Kind: bridges.Notice, Body: "a"}},
		{msg, `{"msgtype":"m.emote","body":"waves"}`, content{What: contentMessage, Kind: bridges.Emote, Body: "waves"}},
		{msg, `{"msgtype":"m.server_notice","body":"a"}`, content{What: contentMessage, Kind: bridges.Notice, Body: "a"}},
		{msg, `{"msgtype":"org.example.odd","body":"a"}`, said("a")},
		{msg, `{"body":"a"}`, said("a")},
		{msg, `{"msgtype":"m.text","body":"**a**","format":"org.matrix.custom.html","formatted_body":"<strong>a</strong>"}`, content{What: contentMessage, Body: "*a*", HTML: "<strong>a</strong>"}},
		{msg, `{"msgtype":"m.text","body":"a","format":"org.matrix.custom.html","formatted_body":"<p></p>"}`, said("a")},
		{msg, `{"msgtype":"m.text","body":"a","format":"org.example","formatted_body":"<b>b</b>"}`, said("a")},
		{msg, `{"msgtype":"m.text","body":"a","formatted_body":"<b>b</b>"}`, said("a")},
		{msg, `{"msgtype":"m.key.verification.request","body":"a","to":"@a:e"}`, content{}},

		// Edits.
		{
			msg, `{"msgtype":"m.text","body":"* b","m.new_content":{"msgtype":"m.text","body":"b"},"m.relates_to":{"rel_type":"m.replace","event_id":"$a"}}`,
			content{What: contentMessage, Body: "b", Replaces: "$a"},
		},
		{
			msg, `{"msgtype":"m.text","body":"* b","m.new_content":{"msgtype":"m.emote","body":"b","m.relates_to":{"rel_type":"m.replace","event_id":"$x"}},"m.relates_to":{"rel_type":"m.replace","event_id":"$a","m.in_reply_to":{"event_id":"$b"}}}`,
			content{What: contentMessage, Kind: bridges.Emote, Body: "b", Replaces: "$a"},
		},
		{msg, `{"msgtype":"m.text","body":"* b","m.relates_to":{"rel_type":"m.replace","event_id":"$a"}}`, said("* b")},
		{msg, `{"msgtype":"m.text","body":"* b","m.new_content":{"body":"c"},"m.relates_to":{"rel_type":"m.replace","event_id":7}}`, said("* b")},

		// Answers and threads.
		{
			msg, `{"msgtype":"m.text","body":"> <@a:e> one\n> two\n\nthree","m.relates_to":{"m.in_reply_to":{"event_id":"$a"}}}`,
			content{What: contentMessage, Body: "three", ReplyTo: "$a"},
		},
		{
			msg, `{"msgtype":"m.text","body":"> * <@a:e> waves\n\nthree","m.relates_to":{"m.in_reply_to":{"event_id":"$a"}}}`,
			content{What: contentMessage, Body: "three", ReplyTo: "$a"},
		},
		{
			msg, `{"msgtype":"m.text","body":"> my own\n\nthree","m.relates_to":{"m.in_reply_to":{"event_id":"$a"}}}`,
			content{What: contentMessage, Body: "> my own\n\nthree", ReplyTo: "$a"},
		},
		{
			msg, `{"msgtype":"m.text","body":"> <@a:e> one","m.relates_to":{"m.in_reply_to":{"event_id":"$a"}}}`,
			content{What: contentMessage, Body: "> <@a:e> one", ReplyTo: "$a"},
		},
		{msg, `{"msgtype":"m.text","body":"> <@a:e> one\n\nthree"}`, said("> <@a:e> one\n\nthree")},
		{
			msg, `{"msgtype":"m.text","body":"x","format":"org.matrix.custom.html","formatted_body":"<mx-reply><blockquote>old</blockquote></mx-reply>new","m.relates_to":{"m.in_reply_to":{"event_id":"$a"}}}`,
			content{What: contentMessage, Body: "new", ReplyTo: "$a"},
		},
		{
			msg, `{"msgtype":"m.text","body":"a","m.relates_to":{"rel_type":"m.thread","event_id":"$root","is_falling_back":true,"m.in_reply_to":{"event_id":"$last"}}}`,
			content{What: contentMessage, Body: "a", Thread: "$root"},
		},
		{
			msg, `{"msgtype":"m.text","body":"a","m.relates_to":{"rel_type":"m.thread","event_id":"$root","m.in_reply_to":{"event_id":"$b"}}}`,
			content{What: contentMessage, Body: "a", Thread: "$root", ReplyTo: "$b"},
		},

		// Files.
		{
			msg, `{"msgtype":"m.image","body":"cat.png","url":"mxc://e.example/Abc_-1","info":{"mimetype":"image/png; q=1","size":1234,"w":10.0,"h":20,"thumbnail_url":"mxc://e.example/T","thumbnail_info":{"mimetype":"image/jpeg","w":5,"h":-1}}}`,
			content{What: contentMessage, File: &file{URI: uri, Name: "cat.png", Type: "image/png", Size: 1234, Width: 10, Height: 20, Thumbnail: &thumbnail{URI: id.ContentURI{Homeserver: "e.example", FileID: "T"}, Type: "image/jpeg", Width: 5}}},
		},
		{
			msg, `{"msgtype":"m.video","body":"Look!","filename":"../a\\b/cat.mp4","format":"org.matrix.custom.html","formatted_body":"<b>Look!</b>","url":"mxc://e.example/Abc_-1","info":{"mimetype":"video/mp4","duration":1500}}`,
			content{What: contentMessage, Body: "*Look!*", HTML: "<b>Look!</b>", File: &file{URI: uri, Name: "cat.mp4", Type: "video/mp4", Duration: 1500 * time.Millisecond}},
		},
		{
			msg, `{"msgtype":"m.audio","body":"","url":"mxc://e.example/Abc_-1","org.matrix.msc3245.voice":{},"info":{"mimetype":"audio/ogg","size":-1,"duration":1e300}}`,
			content{What: contentMessage, File: &file{URI: uri, Name: "audio.ogg", Type: "audio/ogg", Duration: maxDuration, Voice: true}},
		},
		{
			msg, `{"msgtype":"m.file","body":"..","filename":"..","url":"mxc://e.example/Abc_-1","info":{"mimetype":"nonsense","size":"9","w":true}}`,
			content{What: contentMessage, File: &file{URI: uri, Name: "file"}},
		},
		{msg, `{"msgtype":"m.file","body":"a.txt","url":"https://e.example/a"}`, said("a.txt")},
		{msg, `{"msgtype":"m.file","body":"a.txt","url":"mxc://e.example/../a"}`, said("a.txt")},
		{msg, `{"msgtype":"m.file","body":"a.txt","url":"mxc://e.example@evil/a"}`, said("a.txt")},
		{msg, `{"msgtype":"m.file","body":"a.txt","file":{"url":"mxc://e.example/a","v":"v2","key":{"k":"short"}}}`, said("a.txt")},
		{msg, `{"msgtype":"m.file","body":"a.txt"}`, said("a.txt")},
		{msg, `{"msgtype":"m.file"}`, content{}},
		{
			"m.sticker", `{"body":"a cat","url":"mxc://e.example/Abc_-1","info":{"mimetype":"image/webp"}}`,
			content{What: contentMessage, File: &file{URI: uri, Name: "sticker.webp", Type: "image/webp", Sticker: true, Desc: "a cat"}},
		},
		{"m.sticker", `{"body":"a cat"}`, said("a cat")},

		// Places.
		{msg, `{"msgtype":"m.location","body":"Here","geo_uri":"geo:51.5,-0.12;u=35"}`, content{What: contentMessage, Body: "Here", Location: &bridges.Location{Lat: 51.5, Lon: -0.12, Accuracy: 35}}},
		{msg, `{"msgtype":"m.location","body":"at geo:1,2","geo_uri":"geo:1,2"}`, content{What: contentMessage, Location: &bridges.Location{Lat: 1, Lon: 2}}},
		{msg, `{"msgtype":"m.location","org.matrix.msc3488.location":{"uri":"geo:1,2","description":"Here"}}`, content{What: contentMessage, Body: "Here", Location: &bridges.Location{Lat: 1, Lon: 2}}},
		{msg, `{"msgtype":"m.location","body":"Here","geo_uri":"javascript:1"}`, said("Here")},

		// Polls.
		{"m.poll.response", `{"m.relates_to":{"rel_type":"m.reference","event_id":"$p"},"m.selections":["1",2,"3"]}`, content{What: contentVote, Target: "$p", Choices: []string{"1", "3"}}},
		{"org.matrix.msc3381.poll.response", `{"m.relates_to":{"rel_type":"m.reference","event_id":"$p"},"org.matrix.msc3381.poll.response":{"answers":["1"]}}`, content{What: contentVote, Target: "$p", Choices: []string{"1"}}},
		{"m.poll.response", `{"m.relates_to":{"rel_type":"m.thread","event_id":"$p"},"m.selections":["1"]}`, content{}},
		{"m.poll.end", `{"m.relates_to":{"rel_type":"m.reference","event_id":"$p"},"m.text":[{"mimetype":"text/html","body":"<b>x</b>"},{"body":"Over:\n a"}]}`, content{What: contentMessage, Kind: bridges.Notice, Body: "Over: a", Ends: "$p"}},
		{"org.matrix.msc3381.poll.end", `{"org.matrix.msc1767.text":7,"x":1}`, content{What: contentMessage, Kind: bridges.Notice, Body: "The poll has ended."}},
		{"m.poll.start", `{"m.text":"A question","m.poll":{"question":7}}`, said("A question")},

		// Reactions.
		{"m.reaction", `{"m.relates_to":{"rel_type":"m.annotation","event_id":"$a","key":"👍️"}}`, content{What: contentReaction, Target: "$a", Key: "👍️"}},
		{"m.reaction", `{"m.relates_to":{"rel_type":"m.annotation","event_id":"$a","key":"mxc://e/x"}}`, content{}},
		{"m.reaction", `{"m.relates_to":{"rel_type":"m.annotation","event_id":"$a","key":"` + strings.Repeat("x", 65) + `"}}`, content{}},
		{"m.reaction", `{"m.relates_to":{"rel_type":"m.annotation","key":"x"}}`, content{}},
		{"m.reaction", `{"m.relates_to":{"rel_type":"m.replace","event_id":"$a","key":"x"}}`, content{}},
		{"m.reaction", `{"m.relates_to":[]}`, content{}},

		// The rest.
		{"m.room.encrypted", `{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"x","m.relates_to":{"rel_type":"m.replace","event_id":"$a"}}`, content{What: contentEncrypted, Replaces: "$a"}},
		{"m.room.encrypted", `{"algorithm":1}`, content{What: contentEncrypted}},
		{"m.room.encrypted", `{}`, content{What: contentRedacted}},
		{msg, `{}`, content{What: contentRedacted}},
		{"m.call.invite", `{"offer":{"sdp":"v=0\r\nm=audio 1"}}`, content{What: contentMessage, Kind: bridges.Notice, Body: "Here is a voice call: it can be answered in a Matrix client."}},
		{"m.call.invite", `{"offer":{"sdp":"m=audio\r\nm=video"}}`, content{What: contentMessage, Kind: bridges.Notice, Body: "Here is a video call: it can be answered in a Matrix client."}},
		{"m.call.hangup", `{}`, content{What: contentMessage, Kind: bridges.Notice, Body: "The call has ended."}},
		{"m.call.candidates", `{"candidates":[]}`, content{}},
		{"org.matrix.msc1767.message", `{"org.matrix.msc1767.text":"a"}`, said("a")},
		{"m.message", `{"m.text":[{"body":"a"}],"m.relates_to":{"m.in_reply_to":{"event_id":"$a"}}}`, content{What: contentMessage, Body: "a", ReplyTo: "$a"}},
		{"org.example.event", `{"body":"a"}`, content{}},
		{"m.room.member", `{"membership":"join"}`, content{}},

		// What is not as it should be.
		{msg, ``, content{}},
		{msg, `null`, content{}},
		{msg, `[1]`, content{}},
		{msg, `{"body":`, content{}},
		{msg, `{"msgtype":7,"body":"a"}`, said("a")},
		{msg, `{"msgtype":"m.text","body":7}`, content{}},
		{msg, `{"msgtype":"m.text","body":" \n"}`, content{}},
		{msg, `{"msgtype":"m.text","body":"a\u0000\u001bb\ufffe"}`, said("ab")},
		{msg, `{"msgtype":"m.text","body":"a","formatted_body":{},"format":[],"m.relates_to":"x","m.new_content":7}`, said("a")},
		{msg, `{"msgtype":"m.text","body":"a","m.relates_to":{"m.in_reply_to":{"event_id":"` + strings.Repeat("x", 256) + `"}}}`, said("a")},
		{msg, `{"msgtype":"m.image","body":"a.png","url":"mxc://e.example/Abc_-1","info":"x","file":[]}`, content{What: contentMessage, File: &file{URI: uri, Name: "a.png"}}},
	} {
		if got := readContent(c.kind, json.RawMessage(c.json)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %.300s:\n%+v, want\n%+v", c.kind, c.json, got, c.want)
			if got.File != nil {
				t.Errorf("file %+v", *got.File)
			}
		}
	}
}

func TestReadEvent(t *testing.T) {
	for _, c := range []struct {
		json string
		want contentKind
	}{
		{`{"type":"m.room.message","content":{"msgtype":"m.text","body":"a"}}`, contentMessage},
		{`{"type":"m.room.message","content":{"msgtype":"m.text","body":"a"},"unsigned":{"redacted_because":{"type":"m.room.redaction"}}}`, contentRedacted},
		{`{"type":"m.room.message","content":{}}`, contentRedacted},
		{`{"type":"m.room.topic","state_key":"","content":{"topic":"a"}}`, contentNone},
	} {
		var ev event.Event
		if err := json.Unmarshal([]byte(c.json), &ev); err != nil {
			t.Fatal(err)
		}
		if got := readEvent(&ev); got.What != c.want {
			t.Errorf("%s: %+v", c.json, got)
		}
	}
	made := &event.Event{Type: event.EventMessage, Content: event.Content{Raw: map[string]any{"msgtype": "m.text", "body": "a"}}}
	if got := readEvent(made); got.Body != "a" {
		t.Errorf("an event that was made: %+v", got)
	}
}

func TestEncryptedFile(t *testing.T) {
	c := readContent("m.room.message", json.RawMessage(`{"msgtype":"m.image","body":"a.png","url":"mxc://e.example/clear","file":`+encryptedPart+`}`))
	if c.File == nil || c.File.Encrypted == nil || c.File.URI.FileID != "Sealed" {
		t.Fatalf("%+v", c)
	}
	if got := c.File.file(); !got.Encrypted || !strings.HasPrefix(got.Ref, sealedRef) || got.Thumbnail != nil {
		t.Errorf("it is told as %+v", got)
	}
	c = readContent("m.room.message", json.RawMessage(`{"msgtype":"m.image","body":"a.png","file":`+encryptedPart+`,"info":{"thumbnail_file":`+encryptedPart+`,"thumbnail_info":{"w":3}}}`))
	if got := c.File.file(); got.Thumbnail == nil || got.Thumbnail.Ref != got.Ref || got.Thumbnail.Width != 3 {
		t.Errorf("with a thumbnail: %+v", got)
	}
	c = readContent("m.room.message", json.RawMessage(`{"msgtype":"m.image","body":"a.png","file":`+strings.Replace(encryptedPart, "A256CTR", "none", 1)+`}`))
	if c.File != nil {
		t.Error("a file that cannot be decrypted is one")
	}
}

func TestPoll(t *testing.T) {
	for _, c := range []struct{ kind, json, vote, choice string }{
		{
			"m.poll.start", `{"m.text":[{"body":"fallback"}],"m.poll":{"max_selections":2,"question":{"m.text":[{"body":"What\nnow?"}]},
				"answers":[{"m.id":"a","m.text":[{"body":"This"}]},{"m.id":"","m.text":[{"body":"none"}]},7,{"m.id":"b","m.text":[{"body":"That"}]}]}}`,
			"m.poll.response", `{"m.relates_to":{"event_id":"$p","rel_type":"m.reference"},"m.selections":["b","a"]}`,
		},
		{
			"org.matrix.msc3381.poll.start", `{"org.matrix.msc3381.poll.start":{"max_selections":2,"question":{"org.matrix.msc1767.text":"What now?"},
				"answers":[{"id":"a","org.matrix.msc1767.text":"This"},{"id":"b","org.matrix.msc1767.text":"That"}]}}`,
			"org.matrix.msc3381.poll.response", `{"m.relates_to":{"event_id":"$p","rel_type":"m.reference"},"org.matrix.msc3381.poll.response":{"answers":["b","a"]}}`,
		},
	} {
		got := readContent(c.kind, json.RawMessage(c.json))
		if want := "Poll: What now?\n1. This\n2. That\n(Up to 2 answers.)"; got.Body != want || got.Poll == nil {
			t.Fatalf("%q, want %q", got.Body, want)
		}
		ids, ok := got.Poll.choose("2, 1.")
		if !ok {
			t.Fatal("the choice is not understood")
		}
		kind, content := got.Poll.vote("$p", ids)
		if b, err := json.Marshal(content); err != nil || kind != c.vote || string(b) != c.choice {
			t.Errorf("%s %s, %v", kind, b, err)
		}
		b, _ := json.Marshal(content)
		if vote := readContent(kind, b); vote.What != contentVote || vote.Target != "$p" || !reflect.DeepEqual(vote.Choices, ids) {
			t.Errorf("%+v", vote)
		}
		for _, text := range []string{"", "3", "0", "-1", "1 2 1", "one", "1 and 2", "1x"} {
			if ids, ok := got.Poll.choose(text); ok {
				t.Errorf("%q chooses %v", text, ids)
			}
		}
	}
}

func TestWriteMessage(t *testing.T) {
	alice := mention{"@alice:e.example", "Alice"}
	const pill = `<a href=\"https://matrix.to/#/@alice:e.example\">Alice</a>`
	for _, c := range []struct {
		name string
		m    bridges.Outgoing
		r    resolved
		want string
	}{
		{"text", bridges.Outgoing{Body: "a\x00b"}, resolved{}, `{"msgtype":"m.text","body":"ab","m.mentions":{}}`},
		{"emote", bridges.Outgoing{Kind: bridges.Emote, Body: "waves"}, resolved{}, `{"msgtype":"m.emote","body":"waves","m.mentions":{}}`},
		{"notice", bridges.Outgoing{Kind: bridges.Notice, Body: "a"}, resolved{}, `{"msgtype":"m.notice","body":"a","m.mentions":{}}`},
		{
			"looks", bridges.Outgoing{Body: "*a*", HTML: "<b>a</b><script>x</script>"}, resolved{},
			`{"msgtype":"m.text","body":"*a*","format":"org.matrix.custom.html","formatted_body":"<b>a</b>","m.mentions":{}}`,
		},
		{
			"mention", bridges.Outgoing{Body: "Alice: <hi>\nyou"}, resolved{Mentions: []mention{alice, alice}},
			`{"msgtype":"m.text","body":"Alice: <hi>\nyou","format":"org.matrix.custom.html","formatted_body":"` + pill + `: &lt;hi&gt;<br>you","m.mentions":{"user_ids":["@alice:e.example"]}}`,
		},
		{
			"mention in looks", bridges.Outgoing{Body: "*Alice*", HTML: "<b>Alice</b>"}, resolved{Mentions: []mention{alice}},
			`{"msgtype":"m.text","body":"*Alice*","format":"org.matrix.custom.html","formatted_body":"<b>` + pill + `</b>","m.mentions":{"user_ids":["@alice:e.example"]}}`,
		},
		{
			"mention not found", bridges.Outgoing{Body: "hey"}, resolved{Mentions: []mention{alice}},
			`{"msgtype":"m.text","body":"hey","m.mentions":{"user_ids":["@alice:e.example"]}}`,
		},
		{
			"answer", bridges.Outgoing{Body: "a", ReplyTo: "$x"}, resolved{ReplyTo: "@bob:e.example"},
			`{"msgtype":"m.text","body":"a","m.mentions":{"user_ids":["@bob:e.example"]},"m.relates_to":{"m.in_reply_to":{"event_id":"$x"}}}`,
		},
		{"answer to somebody unknown", bridges.Outgoing{Body: "a", ReplyTo: "$x"}, resolved{}, `{"msgtype":"m.text","body":"a","m.mentions":{},"m.relates_to":{"m.in_reply_to":{"event_id":"$x"}}}`},
		{
			"thread", bridges.Outgoing{Body: "a", Thread: "$root"}, resolved{ThreadLast: "$last"},
			`{"msgtype":"m.text","body":"a","m.mentions":{},"m.relates_to":{"rel_type":"m.thread","event_id":"$root","is_falling_back":true,"m.in_reply_to":{"event_id":"$last"}}}`,
		},
		{
			"thread begins", bridges.Outgoing{Body: "a", Thread: "$root"}, resolved{},
			`{"msgtype":"m.text","body":"a","m.mentions":{},"m.relates_to":{"rel_type":"m.thread","event_id":"$root","is_falling_back":true,"m.in_reply_to":{"event_id":"$root"}}}`,
		},
		{
			"answer in a thread", bridges.Outgoing{Body: "a", Thread: "$root", ReplyTo: "$x"}, resolved{ThreadLast: "$last"},
			`{"msgtype":"m.text","body":"a","m.mentions":{},"m.relates_to":{"rel_type":"m.thread","event_id":"$root","m.in_reply_to":{"event_id":"$x"}}}`,
		},
		{
			"edit", bridges.Outgoing{Body: "*a* Alice", HTML: "<b>a</b> Alice", Replaces: "$x", ReplyTo: "$y", Thread: "$z"}, resolved{Mentions: []mention{alice}},
			`{"msgtype":"m.text","body":"* *a* Alice","format":"org.matrix.custom.html","formatted_body":"* <b>a</b> ` + pill + `","m.mentions":{},"m.relates_to":{"rel_type":"m.replace","event_id":"$x"},
				"m.new_content":{"msgtype":"m.text","body":"*a* Alice","format":"org.matrix.custom.html","formatted_body":"<b>a</b> ` + pill + `","m.mentions":{"user_ids":["@alice:e.example"]}}}`,
		},
		{"link", bridges.Outgoing{Link: "https://e.example/a.png"}, resolved{}, `{"msgtype":"m.text","body":"https://e.example/a.png","m.mentions":{}}`},
		{"link that is said", bridges.Outgoing{Body: "https://e.example/a.png", Link: "https://e.example/a.png"}, resolved{}, `{"msgtype":"m.text","body":"https://e.example/a.png","m.mentions":{}}`},
		{"link and text", bridges.Outgoing{Body: "look", Link: "https://e.example/a"}, resolved{}, `{"msgtype":"m.text","body":"look\nhttps://e.example/a","m.mentions":{}}`},
		{
			"link and looks", bridges.Outgoing{Body: "*look*", HTML: "<b>look</b>", Link: `https://e.example/?a&b`}, resolved{},
			`{"msgtype":"m.text","body":"*look*\nhttps://e.example/?a&b","format":"org.matrix.custom.html","formatted_body":"<b>look</b><p><a href=\"https://e.example/?a&amp;b\">https://e.example/?a&amp;b</a></p>","m.mentions":{}}`,
		},
	} {
		got, err := writeMessage(&c.m, c.r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		b, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if !sameJSON(t, string(b), c.want) {
			t.Errorf("%s:\n%s, want\n%s", c.name, b, c.want)
		}
		back := readContent("m.room.message", b)
		m := back.message()
		wantReply := c.m.ReplyTo
		if c.m.Replaces != "" {
			wantReply = ""
		}
		if back.What != contentMessage || m.Kind != c.m.Kind || m.Replaces != c.m.Replaces || (m.ReplyTo != nil) != (wantReply != "") || m.ReplyTo != nil && m.ReplyTo.ID != wantReply {
			t.Errorf("%s comes back as %+v", c.name, m)
		}
		if c.m.Replaces == "" && m.Thread != c.m.Thread {
			t.Errorf("%s comes back in thread %q", c.name, m.Thread)
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func TestLongMessages(t *testing.T) {
	long := strings.Repeat("ä <x> ", 2000) // 16,000 bytes, more as HTML
	for _, c := range []struct {
		name       string
		m          bridges.Outgoing
		text       string // what is kept whole
		html, fits bool
	}{
		{"text", bridges.Outgoing{Body: long}, long, false, true},
		{"looks are left out", bridges.Outgoing{Body: long, HTML: "<b>" + strings.Repeat("&lt;", 1e4) + "</b>"}, long, false, true},
		{"looks stay", bridges.Outgoing{Body: long, HTML: "<b>x</b>"}, long, true, true},
		{"an edit", bridges.Outgoing{Body: long, Replaces: "$a"}, long, false, true},
		{"an edit with looks", bridges.Outgoing{Body: long, HTML: "<b>" + strings.Repeat("x", 1e4) + "</b>", Replaces: "$a"}, long, true, true},
		{"too long", bridges.Outgoing{Body: strings.Repeat("x", maxContent)}, "", false, false},
		{"an edit too long", bridges.Outgoing{Body: strings.Repeat("x", maxContent), Replaces: "$a"}, "", false, false},
	} {
		got, err := writeMessage(&c.m, resolved{})
		if !c.fits {
			if e := bridges.AsError(err); e == nil || e.Kind != bridges.TooLarge || e.Text == "" {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if b, _ := json.Marshal(got); len(b) > maxContent {
			t.Errorf("%s has %d bytes", c.name, len(b))
		}
		if got.NewContent != nil {
			got = got.NewContent
		}
		if got.Body != c.text || (got.FormattedBody != "") != c.html {
			t.Errorf("%s: %d bytes of text, %d of HTML", c.name, len(got.Body), len(got.FormattedBody))
		}
	}
	for _, body := range []string{"", " \n", "\x00"} {
		if _, err := writeMessage(&bridges.Outgoing{Body: body}, resolved{}); bridges.AsError(err) == nil || bridges.AsError(err).Kind != bridges.Invalid {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func FuzzReadContent(f *testing.F) {
	for _, s := range []string{
		`{"msgtype":"m.text","body":"a","format":"org.matrix.custom.html","formatted_body":"<b>a</b>"}`,
		`{"msgtype":"m.image","body":"a","filename":"b","file":` + encryptedPart + `,"info":{"size":1e99,"w":-1}}`,
		`{"msgtype":"m.text","body":"> <@a:b> c\n\nd","m.relates_to":{"m.in_reply_to":{"event_id":"$a"}}}`,
		`{"m.new_content":{"body":"a"},"m.relates_to":{"rel_type":"m.replace","event_id":"$a"}}`,
		`{"m.relates_to":{"rel_type":"m.annotation","event_id":"$a","key":"x"}}`,
		`{"m.poll":{"question":{"m.text":[{"body":"a"}]},"answers":[{"m.id":"a","m.text":[{"body":"a"}]}],"max_selections":1e99}}`,
		`{"msgtype":"m.location","geo_uri":"geo:1,2"}`, `{"offer":7}`, `[]`, `null`, `{"body":[[[[`, `{}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for kind := range contentReaders {
			c := readContent(kind, json.RawMessage(s))
			if err := checkText(c.Body); err != nil {
				t.Fatalf("%s: text: %v", kind, err)
			}
			if err := checkMarkup(c.HTML); err != nil {
				t.Fatalf("%s: markup: %v", kind, err)
			}
			if f := c.File; f != nil && (f.Name == "" || strings.ContainsAny(f.Name, "/\\\n") || len(f.Name) > maxFileName || checkText(f.Name) != nil ||
				f.URI.FileID == "" || f.Size < 0 || f.Width < 0 || f.Height < 0 || f.Duration < 0) {
				t.Fatalf("%s: file %+v", kind, f)
			}
			if c.What == contentMessage && c.File == nil && c.Location == nil && strings.TrimSpace(c.Body) == "" {
				t.Fatalf("%s: a message of nothing", kind)
			}
			if c.Poll != nil {
				c.Poll.choose("1 2")
			}
			m := c.message()
			if _, err := writeMessage(&bridges.Outgoing{Kind: m.Kind, Body: m.Body, HTML: m.HTML, Replaces: m.Replaces, Thread: m.Thread}, resolved{}); err != nil && bridges.AsError(err).Kind == bridges.Internal {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkReadContent(b *testing.B) {
	raw := json.RawMessage(`{"msgtype":"m.text","body":"> <@a:e> c\n\nlook **here**","format":"org.matrix.custom.html","formatted_body":"<mx-reply><blockquote>c</blockquote></mx-reply>look <strong>here</strong>","m.mentions":{"user_ids":["@a:e"]},"m.relates_to":{"m.in_reply_to":{"event_id":"$a"}}}`)
	b.ReportAllocs()
	for b.Loop() {
		readContent("m.room.message", raw)
	}
}

// Whom a message names: as it says, or where it does not say so, whom its links stand for.
func TestMentions(t *testing.T) {
	link := `"format":"org.matrix.custom.html","formatted_body":"<a href=\"https://matrix.to/#/@ann:e\">Ann</a> <b><a href=\"https://matrix.to/#/@ben:e\">Ben</a></b> <a href=\"https://matrix.to/#/%23room:e\">room</a>"`
	for name, c := range map[string]struct {
		raw  string
		want []bridges.UserID
	}{
		"nobody":       {`"body":"x"`, nil},
		"named":        {`"body":"x","m.mentions":{"user_ids":["@ann:e","@ann:e","#room:e","bad",7]}`, []bridges.UserID{"@ann:e"}},
		"linked":       {`"body":"x",` + link, []bridges.UserID{"@ann:e", "@ben:e"}},
		"linked only":  {`"body":"x","m.mentions":{},` + link, nil},
		"others named": {`"body":"x","m.mentions":{"user_ids":["@cyn:e"]},` + link, []bridges.UserID{"@cyn:e"}},
	} {
		got := readContent("m.room.message", json.RawMessage(`{"msgtype":"m.text",`+c.raw+`}`))
		if m := got.message(); !slices.Equal(m.Mentions, c.want) {
			t.Errorf("%s: %q, want %q", name, m.Mentions, c.want)
		}
	}
}
