package testenv

import (
	"context"
	_ "embed"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed mam.py
var mamProgram string

// ArchiveReader is a user who reads archives of rooms through slixmpp (XEP-0313).
// One call at a time is worked on.
type ArchiveReader struct{ h *helper }

// ArchiveLine is one result of an archive, as it came.
type ArchiveLine struct {
	ID    string // of the result
	Stamp string // of the delay (XEP-0203)
	By    string // from whom the result came
	From  string // of the message in it, as all below
	Type  string
	MsgID string
	Body  string
	SIDs  []string // stanza-ids by whom the result came from (XEP-0359)
}

// Time is when the line was said; zero where the stamp cannot be read.
func (l ArchiveLine) Time() time.Time {
	t, err := time.Parse(time.RFC3339Nano, l.Stamp)
	if err != nil {
		return time.Time{}
	}
	return t
}

// ArchiveQuery is what a reader asks a room for.
type ArchiveQuery struct {
	Form map[string][]string // fields of the form
	RSM  map[string]string   // children of the RSM set (XEP-0059), by name
	Flip bool                // each page's lines in reverse
}

// ArchivePage is the answer to a query.
type ArchivePage struct {
	Lines []ArchiveLine
	Fin   struct{ Complete, Stable, First, Last, Index, Count string }
	// Refused is the error instead of all that, nil for none.
	Refused *struct{ Type, Condition, Text string }
}

// StartArchiveReader logs a user in; the password is the name.
func (e *Env) StartArchiveReader(ctx context.Context, s *XMPPServer, user, resource string) (*ArchiveReader, error) {
	script, err := e.pythonProgram("archive-reader", mamProgram, "slixmpp", "python3-slixmpp")
	if err != nil {
		return nil, err
	}
	h, err := e.startHelper("archive-reader", filepath.Dir(script), exec.Command(python, "-B", script))
	if err != nil {
		return nil, err
	}
	jid := user + "@" + Domain + "/" + resource
	return &ArchiveReader{h}, h.ask(ctx, map[string]any{"op": "login", "jid": jid, "password": user, "port": s.C2S}, nil)
}

// Query asks a room for one page. A refusal is no error.
func (r *ArchiveReader) Query(ctx context.Context, room string, q ArchiveQuery) (ArchivePage, error) {
	var p ArchivePage
	err := r.h.ask(ctx, map[string]any{"op": "query", "room": room, "form": q.Form, "rsm": q.RSM, "flip": q.Flip}, &p)
	return p, err
}

// Walk reads all of a room from a time on, zero for everything, with slixmpp's own
// paging and parsing, which is slow: lines come oldest first, or latest first where
// reverse is set.
func (r *ArchiveReader) Walk(ctx context.Context, room string, start time.Time, page int, reverse bool) ([]ArchiveLine, error) {
	from := ""
	if !start.IsZero() {
		from = start.UTC().Format("2006-01-02T15:04:05.000000+00:00")
	}
	var p ArchivePage
	err := r.h.ask(ctx, map[string]any{"op": "walk", "room": room, "start": from, "max": page, "reverse": reverse}, &p)
	return p.Lines, err
}

// Close ends the session.
func (r *ArchiveReader) Close() { r.h.end() }
