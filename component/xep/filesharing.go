package xep

import (
	"strconv"
	"time"

	"transportd/component"
)

// Namespaces of files that are shared.
const (
	NSFileSharing  = "urn:xmpp:sfs:0"                      // XEP-0447
	NSFileMetadata = "urn:xmpp:file:metadata:0"            // XEP-0446
	NSURLData      = "http://jabber.org/protocol/url-data" // XEP-0103
	NSThumbnail    = "urn:xmpp:thumbs:1"                   // XEP-0264
	NSSticker      = "urn:xmpp:stickers:0"                 // XEP-0449
)

// FileSharing is a file that lies at an address, and what is known of it. Zero and
// empty parts are not known.
type FileSharing struct {
	URL, Name, Type string
	Size            int64 // bytes
	Width, Height   int   // pixels
	Length          time.Duration
	Desc            string     // what it shows, in words
	Thumbnail       *Thumbnail // nil: none
}

// Thumbnail is a small picture of a file (XEP-0264).
type Thumbnail struct {
	URI, Type     string
	Width, Height int // pixels
}

// ParseFileSharing reads a file; false where it lies at no address.
func ParseFileSharing(e *component.Element) (FileSharing, bool) {
	x := find(e, NSFileSharing, "file-sharing")
	f := FileSharing{URL: x.Child("", "sources").Child(NSURLData, "url-data").Attr("target")}
	if f.URL == "" {
		return FileSharing{}, false
	}
	m := x.Child(NSFileMetadata, "file")
	f.Name, f.Type, f.Desc = m.Child("", "name").Text(), m.Child("", "media-type").Text(), m.Child("", "desc").Text()
	if t := m.Child(NSThumbnail, "thumbnail"); t.Attr("uri") != "" {
		f.Thumbnail = &Thumbnail{URI: t.Attr("uri"), Type: t.Attr("media-type")}
		for name, to := range map[string]*int{"width": &f.Thumbnail.Width, "height": &f.Thumbnail.Height} {
			if n := count(t.Attr(name)); n != nil {
				*to = *n
			}
		}
	}
	if n, err := strconv.ParseInt(m.Child("", "size").Text(), 10, 64); err == nil && n > 0 {
		f.Size = n
	}
	for name, to := range map[string]*int{"width": &f.Width, "height": &f.Height} {
		if n := count(m.Child("", name).Text()); n != nil {
			*to = *n
		}
	}
	if n := count(m.Child("", "length").Text()); n != nil {
		f.Length = time.Duration(*n) * time.Millisecond
	}
	return f, true
}

// AppendTo writes the file.
func (f FileSharing) AppendTo(o *component.Out) {
	o.Start(NSFileSharing, "file-sharing").Attr("disposition", "inline")
	o.Start(NSFileMetadata, "file")
	for _, p := range []struct{ name, value string }{
		{"media-type", f.Type}, {"name", f.Name}, {"desc", f.Desc}, {"size", positive(f.Size)},
		{"width", positive(int64(f.Width))}, {"height", positive(int64(f.Height))}, {"length", positive(f.Length.Milliseconds())},
	} {
		if p.value != "" {
			o.Elem("", p.name, p.value)
		}
	}
	if t := f.Thumbnail; t != nil {
		o.Start(NSThumbnail, "thumbnail").Attr("uri", t.URI).OptAttr("media-type", t.Type).
			OptAttr("width", positive(int64(t.Width))).OptAttr("height", positive(int64(t.Height))).End()
	}
	o.End().Start("", "sources").Start(NSURLData, "url-data").Attr("target", f.URL).End().End().End()
}

// AppendSticker marks a message's file as a sticker (XEP-0449 section 4), of no pack.
func AppendSticker(o *component.Out) { o.Start(NSSticker, "sticker").End() }

func positive(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
