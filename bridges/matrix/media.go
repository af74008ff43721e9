package matrix

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"image"
	_ "image/gif" // what pictures are measured in
	_ "image/jpeg"
	_ "image/png"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// sealedRef begins the reference to a file that must be decrypted: what follows says
// how.
const sealedRef = "sealed:"

// file is the file as the session knows it.
func (f *file) file() bridges.File {
	out := bridges.File{
		Ref: mediaRef(f.URI, f.Encrypted), Name: f.Name, Type: f.Type, Size: f.Size, Width: f.Width, Height: f.Height, Duration: f.Duration,
		Desc: f.Desc, Sticker: f.Sticker, Voice: f.Voice, Encrypted: f.Encrypted != nil,
	}
	if t := f.Thumbnail; t != nil {
		out.Thumbnail = &bridges.Thumbnail{Ref: mediaRef(t.URI, t.Encrypted), Type: t.Type, Width: t.Width, Height: t.Height}
	}
	return out
}

// mediaRef is the name of a file that lies somewhere.
func mediaRef(uri id.ContentURI, sealed *event.EncryptedFileInfo) string {
	if sealed != nil {
		if raw, err := json.Marshal(sealed); err == nil {
			return sealedRef + base64.RawURLEncoding.EncodeToString(raw)
		}
	}
	return uri.String()
}

// errFile is a reference that is none.
var errFile = bridges.NewError(bridges.NotFound, "There is no such file.")

// OpenMedia implements bridges.MediaOpener. The file is read with the user's token,
// and decrypted, as it passes.
func (n *network) OpenMedia(ctx context.Context, ref string) (*bridges.Media, error) {
	cli, err := n.asking()
	if err != nil {
		return nil, err
	}
	var sealed *event.EncryptedFileInfo
	if raw, ok := strings.CutPrefix(ref, sealedRef); ok {
		b, err := base64.RawURLEncoding.DecodeString(raw)
		if err != nil {
			return nil, errFile
		}
		if sealed = encryptedFile(b); sealed == nil {
			return nil, errFile
		}
		ref = string(sealed.URL)
	}
	uri, ok := contentURI(ref)
	if !ok {
		return nil, errFile
	}
	resp, err := cli.Download(ctx, uri)
	if err != nil {
		return nil, failure(ctx, err)
	}
	m := &bridges.Media{ReadCloser: resp.Body, Type: mediaType(resp.Header.Get("Content-Type")), Size: resp.ContentLength}
	if sealed != nil {
		m.ReadCloser, m.Type = &sealedFile{ReadCloser: sealed.DecryptStream(resp.Body), body: resp.Body}, ""
	}
	return m, nil
}

// sealedFile is a file that is decrypted as it is read. What does not fit its hash ends
// with an error.
type sealedFile struct {
	io.ReadCloser
	body io.Closer
	end  error // how it ended
}

func (f *sealedFile) Read(p []byte) (int, error) {
	if f.end != nil {
		return 0, f.end
	}
	n, err := f.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) { // only now it is known whether it is right
		if e := f.ReadCloser.Close(); e != nil {
			err = e
		}
	}
	f.end = err
	return n, err
}

// Close implements io.Closer.
func (f *sealedFile) Close() error { return f.body.Close() }

// head is how much of a file is looked at to know what it is.
const head = 64 << 10

// uploadFile puts a file of the user's on the homeserver, as it is read from where it
// lies, and makes the message that carries it.
func (n *network) uploadFile(ctx context.Context, r *room, m *bridges.Outgoing, res resolved) (*event.MessageEventContent, *bridges.Error) {
	f := m.File
	in, err := f.Open(ctx)
	if err != nil {
		return nil, bridges.AsError(err)
	}
	defer func() { _ = in.Close() }()
	start := make([]byte, head)
	k, err := io.ReadFull(in, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, bridges.AsError(err)
	}
	start = start[:k]
	info := &event.FileInfo{MimeType: typeOf(f, start)}
	if picture, _, err := image.DecodeConfig(bytes.NewReader(start)); err == nil {
		info.Width, info.Height = picture.Width, picture.Height
	}
	count := &counter{Reader: io.MultiReader(bytes.NewReader(start), in)}
	size := f.Size
	if k < head { // it has been read to its end
		size = int64(k)
	}
	c := &event.MessageEventContent{MsgType: msgTypeOf(info.MimeType), Body: cleanText(f.Name), FileName: cleanText(f.Name), Info: info, Mentions: &event.Mentions{}}
	var failed *bridges.Error
	if c.URL, c.File, failed = n.upload(ctx, r, count, mautrix.ReqUploadMedia{ContentLength: size, ContentType: info.MimeType, FileName: f.Name}); failed != nil {
		return nil, failed
	}
	info.Size = int(count.n)
	if c.MsgType == event.MsgImage && f.Thumbnail != nil {
		n.uploadThumbnail(ctx, r, f, info)
	}
	if caption := strings.TrimSpace(cleanText(m.Body)); caption != "" {
		c.Body = caption
	}
	relate(c, m, res)
	return c, nil
}

// upload puts a file on the homeserver, encrypted where the room is.
func (n *network) upload(ctx context.Context, r *room, from *counter, req mautrix.ReqUploadMedia) (id.ContentURIString, *event.EncryptedFileInfo, *bridges.Error) {
	cli, offline := n.asking()
	if offline != nil {
		return "", nil, bridges.AsError(offline)
	}
	var sealed *attachment.EncryptedFile
	var content io.Reader = from
	if r.encrypted() {
		sealed = attachment.NewEncryptedFile()
		content = sealed.EncryptStream(from)
		req.ContentType, req.FileName = "application/octet-stream", ""
	}
	req.Content = content
	resp, err := cli.UploadMedia(ctx, req)
	if err != nil {
		return "", nil, uploadError(ctx, from, err)
	}
	if sealed == nil {
		return resp.ContentURI.CUString(), nil, nil
	}
	if closer, ok := content.(io.Closer); ok {
		_ = closer.Close()
	}
	return "", &event.EncryptedFileInfo{EncryptedFile: *sealed, URL: resp.ContentURI.CUString()}, nil
}

// thumbnailTime is how long a picture waits for its thumbnail.
const thumbnailTime = 20 * time.Second

// uploadThumbnail puts a small form of a picture beside it. A picture can do without.
func (n *network) uploadThumbnail(ctx context.Context, r *room, f *bridges.Upload, info *event.FileInfo) {
	ctx, cancel := context.WithTimeout(ctx, thumbnailTime)
	defer cancel()
	t, err := f.Thumbnail(ctx)
	if err != nil {
		n.log.Debug("matrix: a picture goes without a thumbnail", "error", err)
	}
	if err != nil || t == nil {
		return
	}
	url, sealed, failed := n.upload(ctx, r, &counter{Reader: bytes.NewReader(t.Data)}, mautrix.ReqUploadMedia{ContentLength: int64(len(t.Data)), ContentType: t.Type})
	if failed != nil {
		n.log.Debug("matrix: a picture goes without a thumbnail", "error", failed)
		return
	}
	info.ThumbnailURL, info.ThumbnailFile = url, sealed
	info.ThumbnailInfo = &event.FileInfo{MimeType: t.Type, Size: len(t.Data), Width: t.Width, Height: t.Height}
}

// uploadError tells what reading the file came to from what the homeserver says.
func uploadError(ctx context.Context, c *counter, err error) *bridges.Error {
	if c.err != nil {
		return bridges.AsError(c.err)
	}
	e := failure(ctx, err)
	e.Uncertain = false // a file without a message is nothing
	if e.Kind == bridges.TooLarge {
		e.Text = "The homeserver does not take files of this size."
	}
	return e
}

// counter counts what is read, and keeps why it ended.
type counter struct {
	io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	k, err := c.Reader.Read(p)
	c.n += int64(k)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return k, err
}

// typeOf is a file's media type: as its sender says, as its name says, as it looks.
func typeOf(f *bridges.Upload, start []byte) string {
	if t := mediaType(f.Type); t != "" {
		return t
	}
	if t := mediaType(mime.TypeByExtension(path.Ext(f.Name))); t != "" {
		return t
	}
	return mediaType(http.DetectContentType(start))
}

func msgTypeOf(mediaType string) event.MessageType {
	switch kind, _, _ := strings.Cut(mediaType, "/"); kind {
	case "image":
		return event.MsgImage
	case "audio":
		return event.MsgAudio
	case "video":
		return event.MsgVideo
	}
	return event.MsgFile
}
