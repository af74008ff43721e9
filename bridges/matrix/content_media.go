package matrix

import (
	"encoding/json"
	"math"
	"mime"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Bounds on what is believed of a file.
const (
	maxFileName  = 255 // bytes
	maxDimension = 1 << 16
	maxDuration  = 366 * 24 * time.Hour
)

// file is what a message carries. What it says of itself is the sender's word.
type file struct {
	URI       id.ContentURI
	Encrypted *event.EncryptedFileInfo // nil: it lies there in the clear
	Name      string                   // a plain file name, never empty
	Type      string                   // media type; empty: not known
	Size      int64                    // bytes, 0: not known
	Width     int                      // pixels, 0: not known
	Height    int
	Duration  time.Duration // 0: not known
	Voice     bool          // a voice message
	Sticker   bool
	Desc      string // what it shows, in words
	Thumbnail *thumbnail
}

// thumbnail is a small picture of a file.
type thumbnail struct {
	URI           id.ContentURI
	Encrypted     *event.EncryptedFileInfo // nil: it lies there in the clear
	Type          string
	Width, Height int
}

// fileTypes are the kinds of file by the msgtype that carries them: what stands for one
// without a name, and the media type it may have at most.
var fileTypes = map[string]string{
	"m.image": "image", "m.video": "video", "m.audio": "audio", "m.file": "file", "": "sticker",
}

// readFile reads m.image, m.file, m.audio and m.video. Since version 1.10 of the
// client-server API the body is a caption where filename says something else.
func readFile(o object, c *content) {
	body := o.str("body")
	name := o.str("filename")
	if name != "" && body != name {
		readText(o, c)
	}
	if name == "" {
		name = body
	}
	kind := o.str("msgtype")
	f := readFileParts(o, fileTypes[kind], name)
	if f == nil {
		// It lies nowhere: then its name is all there is.
		if c.Body == "" {
			c.Body = cutBytes(name, maxBody)
		}
		return
	}
	f.Voice = kind == "m.audio" && (o.has("org.matrix.msc3245.voice") || o.has("m.voice"))
	c.File = f
}

// readSticker reads an m.sticker, whose body says in words what it shows.
func readSticker(o object) content {
	c := content{What: contentMessage}
	c.relate(o.obj("m.relates_to"))
	words := cutBytes(o.str("body"), maxBody)
	f := readFileParts(o, fileTypes[""], "")
	if f == nil {
		c.Body = words
		return c
	}
	f.Sticker, f.Desc = true, oneLine(words)
	c.File = f
	return c
}

// readFileParts reads what the kinds of file have in common; nil: there is no file.
func readFileParts(o object, kind, name string) *file {
	info := o.obj("info")
	f := &file{
		Type:     mediaType(info.str("mimetype")),
		Size:     info.count("size", math.MaxInt64),
		Width:    int(info.count("w", maxDimension)),
		Height:   int(info.count("h", maxDimension)),
		Duration: time.Duration(info.count("duration", maxDuration.Milliseconds())) * time.Millisecond,
	}
	var ok bool
	if f.URI, f.Encrypted, ok = whereFile(o["file"], o.str("url")); !ok {
		return nil
	}
	f.Name = fileName(name, kind, f.Type)
	if uri, enc, ok := whereFile(info["thumbnail_file"], info.str("thumbnail_url")); ok {
		of := info.obj("thumbnail_info")
		f.Thumbnail = &thumbnail{
			URI: uri, Encrypted: enc, Type: mediaType(of.str("mimetype")),
			Width: int(of.count("w", maxDimension)), Height: int(of.count("h", maxDimension)),
		}
	}
	return f
}

// whereFile reads where a file lies: encrypted, or in the clear.
func whereFile(sealed json.RawMessage, clear string) (id.ContentURI, *event.EncryptedFileInfo, bool) {
	if enc := encryptedFile(sealed); enc != nil {
		uri, ok := contentURI(string(enc.URL))
		return uri, enc, ok
	}
	uri, ok := contentURI(clear)
	return uri, nil, ok
}

// encryptedFile reads where an encrypted file lies and how it is decrypted
// (client-server API, "Sending encrypted attachments"); nil: it cannot be.
func encryptedFile(raw json.RawMessage) *event.EncryptedFileInfo {
	if readObject(raw) == nil {
		return nil
	}
	enc := new(event.EncryptedFileInfo)
	if json.Unmarshal(raw, enc) != nil {
		return nil
	}
	if _, ok := contentURI(string(enc.URL)); !ok || enc.PrepareForDecryption() != nil {
		return nil
	}
	return enc
}

// mediaID is what may stand for a file at a homeserver (client-server API, "Matrix
// Content (mxc://) URIs").
var mediaID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

// contentURI reads an mxc: URI. It is part of an address that is fetched: only what is
// right to the letter passes.
func contentURI(s string) (id.ContentURI, bool) {
	uri, err := id.ParseContentURI(s)
	if err != nil || s == "" {
		return id.ContentURI{}, false
	}
	if _, ok := foldServer(uri.Homeserver); !ok || !mediaID.MatchString(uri.FileID) {
		return id.ContentURI{}, false
	}
	return uri, true
}

// mediaType is a media type without parameters; empty: it is none.
func mediaType(s string) string {
	t, _, err := mime.ParseMediaType(s)
	if err != nil || len(t) > 127 || !strings.Contains(t, "/") {
		return ""
	}
	return t
}

// fileName makes a file name of one the sender gave: without folders, and with an
// ending where it can be known.
func fileName(name, kind, mediaType string) string {
	name = strings.ReplaceAll(name, `\`, "/")
	name = path.Base("/" + strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, name)))
	if name = strings.Trim(name, "/. "); name != "" {
		return cutBytes(name, maxFileName)
	}
	return kind + extension(mediaType)
}

// extensions are the endings of what is sent most; what a system knows of others
// differs from one to the next.
var extensions = map[string]string{
	"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp", "image/svg+xml": ".svg",
	"video/mp4": ".mp4", "video/webm": ".webm", "audio/ogg": ".ogg", "audio/mpeg": ".mp3", "audio/mp4": ".m4a",
	"application/pdf": ".pdf", "text/plain": ".txt",
}

func extension(mediaType string) string { return extensions[mediaType] }
