package component

import (
	"crypto/sha1" //nolint:gosec // the name of the data, as XEP-0231 has it; it protects nothing
	"encoding/base64"
	"encoding/hex"
	"strconv"

	"gosrc.io/xmpp/stanza"
)

// NSBits is small pieces of data inside stanzas (XEP-0231).
const NSBits = "urn:xmpp:bob"

// NSMedia shows such data, or what is elsewhere, in a form's field (XEP-0221).
const NSMedia = "urn:xmpp:media-element"

// Bits is a small piece of data: 8 kB at most.
type Bits struct {
	Type string // the media type
	Data []byte
}

// CID is the name of the data, without the scheme (XEP-0231 section 2.1).
func (b *Bits) CID() string {
	sum := sha1.Sum(b.Data) //nolint:gosec // as above
	return "sha1+" + hex.EncodeToString(sum[:]) + "@bob.xmpp.org"
}

// AppendTo writes the data. Nobody keeps it: it is not asked for twice.
func (b *Bits) AppendTo(o *Out) {
	o.Start(NSBits, "data").Attr("cid", b.CID()).Attr("type", b.Type).Attr("max-age", "0")
	o.Text(base64.StdEncoding.EncodeToString(b.Data)).End()
}

// HandleBits answers requests for data (XEP-0231 section 2.3). find returns the data
// of a name, nil where the user may not have it or there is none; it runs in the read
// loop and must not wait.
func HandleBits(s Services, find func(user JID, cid string) *Bits, kinds ...AddressKind) {
	for _, kind := range kinds {
		s.Disco.AddFeature(kind, NSBits)
		s.Router.Handle(kind, KindIQ, "get", NSBits, "data", func(req *Stanza) {
			b := find(req.From.Bare(), req.Payload().Attr("cid"))
			if b == nil {
				s.Reply(ErrorReply(req, NewStanzaError(stanza.ErrorTypeCancel, "item-not-found", "There is no such data.")))
				return
			}
			o := Result(req)
			b.AppendTo(o)
			s.Reply(o)
		})
	}
}

// Media is a picture a form's field shows.
type Media struct {
	Bits
	Width, Height int // pixels, as it is best shown
}

func (m *Media) appendTo(o *Out) {
	o.Start(NSMedia, "media").Attr("height", strconv.Itoa(m.Height)).Attr("width", strconv.Itoa(m.Width))
	o.Start("", "uri").Attr("type", m.Type).Text("cid:" + m.CID()).End().End()
}

// appendMedia writes the data of the form's pictures, which goes beside the form.
func (f *Form) appendMedia(o *Out) {
	for _, field := range f.Fields {
		if field.Media != nil {
			field.Media.Bits.AppendTo(o)
		}
	}
}
