package component

import (
	"strconv"
	"time"
)

// NSLast is last activity (XEP-0012).
const NSLast = "jabber:iq:last"

// HandleLast answers for how long the gateway has been up since started
// (XEP-0012 section 5).
func HandleLast(s Services, started time.Time, kinds ...AddressKind) {
	for _, kind := range kinds {
		s.Disco.AddFeature(kind, NSLast)
		s.Router.Handle(kind, KindIQ, "get", NSLast, "query", func(req *Stanza) {
			s.Reply(LastReply(req, time.Since(started), ""))
		})
	}
}

// LastReply answers a last activity request, with the text of the last status
// where there is one.
func LastReply(req *Stanza, ago time.Duration, status string) *Out {
	seconds := max(0, int64(ago/time.Second))
	return Result(req).Start(NSLast, "query").Attr("seconds", strconv.FormatInt(seconds, 10)).Text(status).End()
}
