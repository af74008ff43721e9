package xep

import (
	"encoding/base64"
	"strconv"

	"transportd/component"
)

// Names of pictures of people.
const (
	NSVCardUpdate = "vcard-temp:x:update"                     // XEP-0153
	NSPubSubEvent = "http://jabber.org/protocol/pubsub#event" // XEP-0060
	NSAvatarData  = "urn:xmpp:avatar:data"                    // XEP-0084: a node and a namespace
	NSAvatarMeta  = "urn:xmpp:avatar:metadata"                // the same
)

// AppendPhoto writes into a presence the SHA-1 hash of the picture in the vCard: empty,
// that there is none. Where it is not known, known is false (XEP-0153 section 3.1).
func AppendPhoto(o *component.Out, hash string, known bool) {
	o.Start(NSVCardUpdate, "x")
	if known {
		o.Elem("", "photo", hash)
	}
	o.End()
}

// ParsePhoto is the inverse.
func ParsePhoto(e *component.Element) (hash string, known bool) {
	photo := find(e, NSVCardUpdate, "x").Child(NSVCardUpdate, "photo")
	return photo.Text(), photo != nil
}

// Avatar is a picture as XEP-0084 has it.
type Avatar struct {
	Hash string // SHA-1, in hexadecimal digits
	Type string // media type
	Data []byte
}

// AppendMetadata writes what the picture is: that there is none where it has no hash.
func (a Avatar) AppendMetadata(o *component.Out) {
	o.Start("", "item").OptAttr("id", a.Hash).Start(NSAvatarMeta, "metadata")
	if a.Hash != "" {
		o.Start("", "info").Attr("bytes", strconv.Itoa(len(a.Data))).Attr("id", a.Hash).Attr("type", a.Type).End()
	}
	o.End().End()
}

// AppendData writes the picture itself.
func (a Avatar) AppendData(o *component.Out) {
	o.Start("", "item").Attr("id", a.Hash).Elem(NSAvatarData, "data", base64.StdEncoding.EncodeToString(a.Data)).End()
}

// ParseItems reads which items of a node are asked for (XEP-0060 section 6.5): empty, all.
func ParseItems(e *component.Element) (node string, ids []string, ok bool) {
	items := find(e, NSPubSub, "pubsub").Child(NSPubSub, "items")
	for c := range items.Children() {
		if c.Space == NSPubSub && c.Name == "item" {
			ids = append(ids, c.Attr("id"))
		}
	}
	return items.Attr("node"), ids, items != nil
}
