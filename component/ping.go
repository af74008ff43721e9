package component

// NSPing is XMPP ping (XEP-0199).
const NSPing = "urn:xmpp:ping"

// HandlePing answers pings.
func HandlePing(s Services, kinds ...AddressKind) {
	for _, kind := range kinds {
		s.Disco.AddFeature(kind, NSPing)
		s.Router.Handle(kind, KindIQ, "get", NSPing, "ping", func(req *Stanza) { s.Reply(Result(req)) })
	}
}
