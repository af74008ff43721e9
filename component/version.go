package component

// NSVersion is software version (XEP-0092).
const NSVersion = "jabber:iq:version"

// SoftwareVersion is what the program says of itself. The operating system is
// nobody's business and is left out unless the operator set it.
type SoftwareVersion struct{ Name, Version, OS string }

// HandleVersion answers what program this is.
func HandleVersion(s Services, v SoftwareVersion, kinds ...AddressKind) {
	for _, kind := range kinds {
		s.Disco.AddFeature(kind, NSVersion)
		s.Router.Handle(kind, KindIQ, "get", NSVersion, "query", func(req *Stanza) { s.Reply(v.Reply(req)) })
	}
}

// Reply answers a version request.
func (v SoftwareVersion) Reply(req *Stanza) *Out {
	o := Result(req).Start(NSVersion, "query").Elem("", "name", v.Name).Elem("", "version", v.Version)
	if v.OS != "" {
		o.Elem("", "os", v.OS)
	}
	return o.End()
}
