package component

import "time"

// NSTime is entity time (XEP-0202).
const NSTime = "urn:xmpp:time"

// HandleTime answers what time it is here, in UTC.
func HandleTime(s Services, kinds ...AddressKind) {
	for _, kind := range kinds {
		s.Disco.AddFeature(kind, NSTime)
		s.Router.Handle(kind, KindIQ, "get", NSTime, "time", func(req *Stanza) { s.Reply(TimeReply(req, time.Now())) })
	}
}

// TimeReply answers an entity time request with a time and its zone.
func TimeReply(req *Stanza, at time.Time) *Out {
	return Result(req).Start(NSTime, "time").
		Elem("", "tzo", at.Format("-07:00")).
		Elem("", "utc", FormatTime(at)).
		End()
}
