package component

import (
	"errors"
	"io"

	"gosrc.io/xmpp/stanza"
)

// reader is the read loop of one established connection.
type reader struct {
	stream *Stream
	framer *framer
	parser *parser
}

// loop reads stanzas until the stream ends, and returns why.
func (r *reader) loop() error {
	for {
		fr, err := r.framer.read()
		if errors.Is(err, io.EOF) {
			return errClosedRudely
		}
		if err != nil {
			return err
		}
		switch fr.kind {
		case frameStanza:
			if err := r.element(fr); err != nil {
				return err
			}
		case frameSkipped:
			r.refuse(fr.data, fr.err)
		case frameEnd:
			return errClosedByPeer
		case frameHeader:
			return errNotXML
		}
	}
}

// element takes one whole element of the stream. Its error ends the stream.
func (r *reader) element(fr frame) error {
	st, perr := r.parser.parse(fr.data, fr.nodes, fr.attrs)
	if perr != nil {
		if perr.kind == errFatal {
			return perr
		}
		r.refuse(fr.data[:fr.head], perr)
		return nil
	}
	if st.Name == "error" && st.Space == NSStreams {
		return streamError(st.Element, false)
	}
	if err := st.read(); err != nil {
		r.stream.stats.unknown.Add(1)
		r.stream.cfg.Log.Debug("an element was ignored", "name", st.Name, "bytes", len(fr.data), "reason", err)
		return nil
	}
	r.stream.stats.stanzasIn.Add(1)
	r.deliver(st, false)
	return nil
}

// deliver hands a stanza on: answers to whoever asked, the rest to the handler.
// headOnly says that its content was skipped.
func (r *reader) deliver(st *Stanza, headOnly bool) {
	s := r.stream
	if st.Kind == KindIQ {
		if st.From == s.domain && s.fence.passed(st.ID) {
			return // our own ping has come around, or its answer
		}
		if st.Type == "result" || st.Type == "error" {
			s.tracker.answer(st, headOnly)
			return
		}
	}
	if st.Kind == KindMessage {
		if p, ok := s.privileges.told(st); ok {
			s.cfg.Log.Info("the server says what the gateway may do for its users (XEP-0356)", "users_of", st.From.Domain,
				"read_rosters", p.RosterGet, "change_rosters", p.RosterSet, "send_messages", p.Messages, "refused", st.IsError())
			return
		}
	}
	if st.To.IsZero() {
		st.To = s.domain
		s.stats.unknown.Add(1)
		r.answer(st, NewStanzaError(stanza.ErrorTypeModify, "jid-malformed", "This address is not valid."))
		return
	}
	s.cfg.Handler(st)
}

// refuse answers a stanza that broke a limit or holds what XML or XMPP forbids,
// as far as its start tag can be read. What says everything by its type (somebody
// leaves, something failed) is handed on without its content.
func (r *reader) refuse(head []byte, why *parseError) {
	s := r.stream
	s.stats.skipped.Add(1)
	st, err := r.parser.headOnly(head)
	if err != nil {
		s.cfg.Log.Debug("a stanza was skipped", "reason", why.reason)
		return
	}
	s.cfg.Log.Debug("a stanza was skipped", "reason", why.reason, "kind", st.Kind, "from", st.From.Bare().String())
	switch {
	case st.IsError(), st.Kind == KindIQ && st.Type == "result",
		st.Kind == KindPresence && st.Type == "unavailable":
		r.deliver(st, true)
	case st.To.IsZero():
		st.To = s.domain
		fallthrough
	default:
		r.answer(st, refusal(why))
	}
}

func (r *reader) answer(st *Stanza, e *StanzaError) {
	if o := ErrorReply(st, e); o != nil {
		r.stream.TrySend(o)
	}
}
