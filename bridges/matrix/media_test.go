package matrix

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// upload is a file that somebody sends.
func upload(name, typ, data string, small *bridges.SmallPicture) *bridges.Upload {
	return &bridges.Upload{
		Name: name, Type: typ, Size: int64(len(data)),
		Open:      func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(data)), nil },
		Thumbnail: func(context.Context) (*bridges.SmallPicture, error) { return small, nil },
	}
}

func readMedia(t *testing.T, l *linked, ref string) string {
	t.Helper()
	m, err := l.net.OpenMedia(t.Context(), ref)
	if err != nil {
		t.Fatalf("%s: %v", ref, err)
	}
	defer func() { _ = m.Close() }()
	b, err := io.ReadAll(m)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := m.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("behind the end of %s: %d, %v", ref, n, err)
	}
	return string(b)
}

func TestFileToARoom(t *testing.T) {
	srv := matrixtest.New(t)
	_, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	send := func(f *bridges.Upload) map[string]any {
		t.Helper()
		ref := l.nextRef()
		l.ok(l.net.Send(ref, bridges.Place{Room: bridges.RoomID(r.ID)}, bridges.Outgoing{File: f}))
		want(l, "the file", func(m *bridges.Message) bool { return m.Ref == ref })
		events := r.Events()
		var c map[string]any
		if err := json.Unmarshal(events[len(events)-1].Content, &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := send(upload("cat.png", "image/png", "meow", &bridges.SmallPicture{Data: []byte("mew"), Type: "image/jpeg", Width: 3, Height: 2}))
	info, _ := c["info"].(map[string]any)
	small, _ := info["thumbnail_info"].(map[string]any)
	if c["msgtype"] != "m.image" || c["body"] != "cat.png" || info["mimetype"] != "image/png" || info["size"] != 4.0 || small["mimetype"] != "image/jpeg" || small["w"] != 3.0 || small["size"] != 3.0 {
		t.Fatalf("%v", c)
	}
	for key, text := range map[any]string{c["url"]: "meow", info["thumbnail_url"]: "mew"} {
		if m := srv.Media(key.(string)); m == nil || string(m.Data) != text {
			t.Errorf("%v is %+v", key, m)
		}
	}
	c = send(upload("a.txt", "text/plain", "words", &bridges.SmallPicture{Data: []byte("mew")}))
	if info, _ := c["info"].(map[string]any); c["msgtype"] != "m.file" || info["thumbnail_url"] != nil {
		t.Errorf("%v", c)
	}
	c = send(upload("tiny.png", "image/png", "x", nil))
	if info, _ := c["info"].(map[string]any); c["msgtype"] != "m.image" || info["thumbnail_url"] != nil || info["size"] != 1.0 {
		t.Errorf("%v", c)
	}
}

// TestEncryptedThumbnail: a thumbnail that lies encrypted is read like the file.
func TestEncryptedThumbnail(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	seal := func(text string) *event.EncryptedFileInfo {
		sealed := attachment.NewEncryptedFile()
		data := []byte(text)
		sealed.EncryptInPlace(data)
		return &event.EncryptedFileInfo{EncryptedFile: *sealed, URL: id.ContentURIString(bob.Upload("", "", data).URI)}
	}
	bob.Send(r, "m.room.message", map[string]any{
		"msgtype": "m.image", "body": "cat.png", "file": seal("meow"),
		"info": map[string]any{"mimetype": "image/png", "thumbnail_file": seal("mew"), "thumbnail_info": map[string]any{"mimetype": "image/jpeg", "w": 3, "h": 2}},
	})
	m := want(l, "the picture", func(m *bridges.Message) bool { return len(m.Files) == 1 })
	f := m.Files[0]
	if !f.Encrypted || f.Thumbnail == nil || f.Thumbnail.Type != "image/jpeg" || f.Thumbnail.Width != 3 || f.Thumbnail.Height != 2 {
		t.Fatalf("%+v, %+v", f, f.Thumbnail)
	}
	if got := readMedia(t, l, f.Ref); got != "meow" {
		t.Errorf("the file is %q", got)
	}
	if got := readMedia(t, l, f.Thumbnail.Ref); got != "mew" {
		t.Errorf("the thumbnail is %q", got)
	}
}
