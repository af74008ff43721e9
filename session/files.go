package session

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// Files hands files over. Its methods do not block.
type Files interface {
	// Link is where a user's clients can read a file of a network; empty: nowhere.
	Link(user string, network bridges.NetworkID, f *bridges.File) string
	// Upload is the file at an address; nil where no file is fetched from there. name,
	// typ and size are what the sender says of it: empty and negative where nothing is.
	Upload(address, name, typ string, size int64) *bridges.Upload
}

// piece is a message, or the part of one that is a file: then Body is where it can be
// read.
type piece struct {
	*bridges.Message
	file *bridges.File
}

// split makes a message of its own of each file, and of what is said about them:
// clients show a file where its address is all of the text (XEP-0066 section 3.3).
func (s *Session) split(l *link, ev *bridges.Message) []piece {
	var out []piece
	add := func(body string, file *bridges.File) {
		part := *ev
		part.Files, part.Body, part.HTML, part.Kind = nil, body, "", bridges.Text
		if file == nil {
			part.HTML, part.Kind = ev.HTML, ev.Kind
		}
		if n := len(out); n > 0 { // only the first is what the network calls so
			part.ID, part.ReplyTo, part.Replaces = bridges.MessageID(string(ev.ID)+"-"+strconv.Itoa(n+1)), nil, ""
			if ev.ID == "" {
				part.ID = ""
			}
		}
		out = append(out, piece{Message: &part, file: file})
	}
	for i := range ev.Files {
		f := &ev.Files[i]
		if url := s.fileLink(l, f); url != "" {
			add(url, f)
		} else {
			add("[a file: "+describe(f)+"]", nil)
		}
	}
	if ev.Body != "" {
		add(ev.Body, nil)
	}
	return out
}

func (s *Session) fileLink(l *link, f *bridges.File) string {
	if _, ok := l.net.(bridges.MediaOpener); !ok || s.m.files == nil {
		return ""
	}
	return s.m.files.Link(s.user.String(), l.id, f)
}

// describe is a file in words.
func describe(f *bridges.File) string {
	name := f.Name
	if name == "" {
		name = "without a name"
	}
	var more []string
	if f.Type != "" {
		more = append(more, f.Type)
	}
	switch {
	case f.Size >= 1<<20:
		more = append(more, fmt.Sprintf("%.1f MiB", float64(f.Size)/(1<<20)))
	case f.Size > 0:
		more = append(more, fmt.Sprintf("%d KiB", (f.Size+1023)>>10))
	}
	if len(more) == 0 {
		return name
	}
	return name + " (" + strings.Join(more, ", ") + ")"
}

// appendFile writes that the text is the address of a file (XEP-0066), and what is
// known of it (XEP-0447).
func appendFile(o *component.Out, f *bridges.File, url string) {
	o.Start(xep.NSOOB, "x").Elem("", "url", url).End()
	xep.FileSharing{
		URL: url, Name: f.Name, Type: f.Type, Size: f.Size, Width: f.Width, Height: f.Height, Length: f.Duration,
	}.AppendTo(o)
}

// sentFile is the file a client sends, where its stanza is about one and nothing
// else; body is its text without fallbacks.
func (s *Session) sentFile(st *component.Stanza, body string) *bridges.Upload {
	if s.m.files == nil {
		return nil
	}
	size := int64(-1)
	shared, ok := xep.ParseFileSharing(st.Element)
	if ok && shared.Size > 0 {
		size = shared.Size
	}
	if url := st.Child(xep.NSOOB, "x").Child("", "url").Text(); url != "" && (url == strings.TrimSpace(body) || body == "") {
		return s.m.files.Upload(url, shared.Name, shared.Type, size)
	}
	if ok && (body == "" || body == shared.URL) {
		return s.m.files.Upload(shared.URL, shared.Name, shared.Type, size)
	}
	return nil
}

// OpenMedia reads a file through a user's account. It blocks on the network under
// ctx; the error is an *bridges.Error.
func (m *Manager) OpenMedia(ctx context.Context, user component.JID, network bridges.NetworkID, ref string) (*bridges.Media, error) {
	if !m.admitted(user) {
		return nil, bridges.NewError(bridges.NotFound, "There is no such file.")
	}
	var opener bridges.MediaOpener
	err := m.inside(ctx, user, func(s *Session) {
		if l := s.existing(network); l != nil && l.online() {
			opener, _ = l.net.(bridges.MediaOpener)
		}
	})
	if err != nil {
		return nil, &bridges.Error{Kind: bridges.Offline, Text: "The gateway is busy.", Err: err}
	}
	if opener == nil {
		return nil, bridges.NewError(bridges.Offline, "The network of this file cannot be reached now.")
	}
	return opener.OpenMedia(ctx, ref)
}
