package component

import (
	"strings"

	"gosrc.io/xmpp/stanza"
)

// NSGateway turns the address of a foreign network into a JID (XEP-0100
// section 6.3).
const NSGateway = "jabber:iq:gateway"

// Prompt asks for an address of a foreign network, in words for people.
type Prompt struct{ Text, Desc string }

// HandleGateway answers jabber:iq:gateway: with the prompt for the language of
// the request, and with the JID for what was typed. Both functions run in the
// read loop and must not wait. The error of resolve is what the user is shown.
func HandleGateway(s Services, prompt func(lang string) Prompt, resolve func(req *Stanza, text string) (JID, *StanzaError), kinds ...AddressKind) {
	for _, kind := range kinds {
		s.Disco.AddFeature(kind, NSGateway)
		s.Disco.AddFeature(kind, `jid\20escaping`)
		s.Router.Handle(kind, KindIQ, "get", NSGateway, "query", func(req *Stanza) {
			p := prompt(req.Lang)
			o := Result(req).Start(NSGateway, "query")
			if p.Desc != "" {
				o.Elem("", "desc", p.Desc)
			}
			s.Reply(o.Elem("", "prompt", p.Text).End())
		})
		s.Router.Handle(kind, KindIQ, "set", NSGateway, "query", func(req *Stanza) {
			s.Reply(resolvePrompt(req, resolve))
		})
	}
}

func resolvePrompt(req *Stanza, resolve func(*Stanza, string) (JID, *StanzaError)) *Out {
	text := strings.TrimSpace(req.Payload().Child("", "prompt").Text())
	if text == "" || len(text) > maxLineValue {
		return ErrorReply(req, NewStanzaError(stanza.ErrorTypeModify, "not-acceptable", "Please type an address."))
	}
	jid, err := resolve(req, text)
	if err != nil {
		return ErrorReply(req, err)
	}
	return Result(req).Start(NSGateway, "query").Elem("", "jid", jid.String()).End()
}
