package component

import (
	"encoding/base64"

	"gosrc.io/xmpp/stanza"
)

// NSVCard is vcard-temp (XEP-0054).
const NSVCard = "vcard-temp"

// VCard is the part of a vCard that a gateway has to tell.
type VCard struct {
	FullName, Nickname string
	URL                string
	Description        string
	PhotoType          string // media type of Photo
	Photo              []byte
}

// HandleVCard answers with a card, and refuses to store one.
func HandleVCard(s Services, card VCard, kinds ...AddressKind) {
	for _, kind := range kinds {
		s.Disco.AddFeature(kind, NSVCard)
		s.Router.Handle(kind, KindIQ, "get", NSVCard, "vCard", func(req *Stanza) { s.Reply(card.Reply(req)) })
		s.Router.Handle(kind, KindIQ, "set", NSVCard, "vCard", func(req *Stanza) {
			s.Reply(ErrorReply(req, NewStanzaError(stanza.ErrorTypeAuth, "forbidden", "This card is not yours to change.")))
		})
	}
}

// Reply answers a vCard request.
func (c VCard) Reply(req *Stanza) *Out {
	o := Result(req).Start(NSVCard, "vCard")
	for _, part := range []struct{ name, value string }{
		{"FN", c.FullName}, {"NICKNAME", c.Nickname}, {"URL", c.URL}, {"DESC", c.Description},
	} {
		if part.value != "" {
			o.Elem("", part.name, part.value)
		}
	}
	if len(c.Photo) > 0 {
		o.Start("", "PHOTO").Elem("", "TYPE", c.PhotoType)
		o.Elem("", "BINVAL", base64.StdEncoding.EncodeToString(c.Photo)).End()
	}
	return o.End()
}
