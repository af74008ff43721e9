package session

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

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
	// Copy has a file, which open begins to read, copied to where the user's XMPP server
	// keeps files (XEP-0363). then is called once, by a goroutine of its own, with its
	// address there or with an *bridges.Error; soon where ctx is done. False: it is not
	// copied, and then is not called.
	Copy(ctx context.Context, user component.JID, f *bridges.File, open OpenFile, then func(address string, err error)) bool
}

// OpenFile begins to read a file of a network. It blocks under ctx.
type OpenFile func(ctx context.Context) (*bridges.Media, error)

// piece is a message, or the part of one that is a file: then Body is where it can be
// read.
type piece struct {
	*bridges.Message
	file  *bridges.File
	thumb string // where the file's thumbnail can be read; empty: nowhere
}

// adorned tells whether it says more than its text.
func (p *piece) adorned() bool {
	return p.ReplyTo != nil || p.HTML != "" || p.Thread != "" || len(p.Mentions) > 0 || p.file != nil || p.Location != nil
}

// partSep stands before the number of a message's part in the name of all but the
// first: the network knows the whole only.
const partSep = "|"

// partOf is the name of a message's nth part, counted from 1.
func partOf(id bridges.MessageID, n int) bridges.MessageID {
	if n == 1 || id == "" {
		return id
	}
	return bridges.MessageID(string(id) + partSep + strconv.Itoa(n))
}

// wholeOf is the name of the message that a line is or is a part of.
func wholeOf(id bridges.MessageID) bridges.MessageID {
	i := strings.LastIndex(string(id), partSep)
	if i <= 0 {
		return id
	}
	if n, err := strconv.Atoi(string(id[i+len(partSep):])); err != nil || n < 2 {
		return id
	}
	return id[:i]
}

// split makes a message of its own of each file, and of what is said about them:
// clients show a file where its address is all of the text (XEP-0066 section 3.3). put
// are the files that have been copied to the user's server; for others, and with nil,
// there is the gateway's link. An edit of what is said about files leaves these out.
func (s *Session) split(l *link, ev *bridges.Message, put []copied) []piece {
	var out []piece
	add := func(n int, body string, p piece) {
		part := *ev
		part.Files, part.Location, part.Mentions, part.Body, part.HTML, part.Kind = nil, nil, nil, body, "", bridges.Text
		part.ID, part.Replaces = partOf(ev.ID, n), partOf(ev.Replaces, n)
		if p.file == nil && n > len(ev.Files) {
			part.HTML, part.Kind, part.Location, part.Mentions = ev.HTML, ev.Kind, ev.Location, ev.Mentions
		}
		if len(out) > 0 { // what is answered is told once
			part.ReplyTo = nil
		}
		p.Message = &part
		out = append(out, p)
	}
	for i := range ev.Files {
		if ev.Replaces != "" && ev.Body != "" {
			break
		}
		f := &ev.Files[i]
		var at copied
		if put != nil {
			at = put[i]
		}
		if at.address == "" {
			at.address = s.fileLink(l, f)
		}
		if at.address == "" {
			add(i+1, inWords(f, at.err), piece{})
			continue
		}
		if at.thumb == "" && f.Thumbnail != nil {
			at.thumb = s.fileLink(l, thumbnail(f))
		}
		add(i+1, at.address, piece{file: f, thumb: at.thumb})
	}
	if ev.Body != "" || ev.Location != nil || len(ev.Files) == 0 {
		add(len(ev.Files)+1, ev.Body, piece{})
	}
	return out
}

// replaced is the line that an edit is of: where it is of what is said about files, the
// line that says that.
func replaced(ev *bridges.Message) bridges.MessageID {
	if ev.Body == "" {
		return ev.Replaces
	}
	return partOf(ev.Replaces, len(ev.Files)+1)
}

// thumbnail is a file's thumbnail as a file.
func thumbnail(f *bridges.File) *bridges.File {
	t := f.Thumbnail
	return &bridges.File{Ref: t.Ref, Name: "thumbnail", Type: t.Type, Width: t.Width, Height: t.Height, Encrypted: f.Encrypted}
}

// inWords is a file that cannot be handed over, and why.
func inWords(f *bridges.File, err *bridges.Error) string {
	kind := "file"
	switch {
	case f.Sticker && f.Desc != "":
		return "[a sticker: " + f.Desc + "]"
	case f.Sticker:
		kind = "sticker"
	case f.Voice:
		kind = "voice message"
	}
	text := "[a " + kind + ": " + describe(f) + "]"
	if err != nil && err.Kind != bridges.Internal && err.Text != "" {
		text += " " + err.Text
	}
	return text
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

// Bounds of a copy to the user's server: what comes after it in the same place waits
// for it.
const (
	copyTime  = 30 * time.Second
	maxCopies = 10 // of the files of one message
)

// copied is where a file of a message lies at the user's server: empty, with err, where
// it could not be put there.
type copied struct {
	address, thumb string
	err            *bridges.Error
}

// copyFiles has the files of a message copied to where the user's server keeps files.
// then is called in the session, at once or later, with one for each file or with nil.
// Old lines are not copied where the gateway has links for them.
func (s *Session) copyFiles(l *link, ev *bridges.Message, then func([]copied)) {
	opener, ok := l.net.(bridges.MediaOpener)
	if n := len(ev.Files); !ok || s.m.files == nil || n == 0 || n > maxCopies || ev.Replay && s.fileLink(l, &ev.Files[0]) != "" {
		then(nil)
		return
	}
	ctx, cancel := context.WithTimeout(s.m.ctx, copyTime)
	out := make([]copied, len(ev.Files))
	left := len(ev.Files)
	done := func() {
		if left--; left == 0 {
			cancel()
			then(out)
		}
	}
	for i := range ev.Files {
		f := &ev.Files[i]
		s.copyFile(ctx, opener, f, func(address string, err error) {
			if out[i].address, out[i].err = address, bridges.AsError(err); err != nil {
				s.log.Debug("a file is not copied to the user's server", "error", err)
			}
			if address == "" || f.Thumbnail == nil || s.fileLink(l, thumbnail(f)) != "" {
				done()
				return
			}
			s.copyFile(ctx, opener, thumbnail(f), func(address string, _ error) {
				out[i].thumb = address
				done()
			})
		})
	}
}

// copyFile copies one file; then is called in the session, at once or later.
func (s *Session) copyFile(ctx context.Context, opener bridges.MediaOpener, f *bridges.File, then func(string, error)) {
	var once sync.Once
	told := func(address string, err error) {
		once.Do(func() { s.post(func() { then(address, err) }) })
	}
	open := func(ctx context.Context) (*bridges.Media, error) { return opener.OpenMedia(ctx, f.Ref) }
	late := context.AfterFunc(ctx, func() { told("", errSlowCopy) })
	if !s.m.files.Copy(ctx, s.user, f, open, func(address string, err error) {
		late()
		told(address, err)
	}) && late() {
		then("", nil)
	}
}

// errSlowCopy is a file that took too long to be copied.
var errSlowCopy = bridges.NewError(bridges.Timeout, "It could not be handed over in time.")

// appendFile writes that the text is the address of a file (XEP-0066), and what is
// known of it (XEP-0447).
func appendFile(o *component.Out, p *piece) {
	f, url := p.file, p.Body
	o.Start(xep.NSOOB, "x").Elem("", "url", url).End()
	shared := xep.FileSharing{
		URL: url, Name: f.Name, Type: f.Type, Size: f.Size, Width: f.Width, Height: f.Height, Length: f.Duration, Desc: f.Desc,
	}
	if p.thumb != "" {
		shared.Thumbnail = &xep.Thumbnail{URI: p.thumb, Type: f.Thumbnail.Type, Width: f.Thumbnail.Width, Height: f.Thumbnail.Height}
	}
	shared.AppendTo(o)
	if f.Sticker {
		xep.AppendSticker(o)
	}
}

// sentFile is the file a client sends, and what it says about it: where its stanza is
// about an address and nothing else (XEP-0066), or shares a file (XEP-0447). body is its
// text as plain makes it.
func (s *Session) sentFile(st *component.Stanza, body string) (file *bridges.Upload, caption string) {
	if s.m.files == nil {
		return nil, ""
	}
	size := int64(-1)
	shared, ok := xep.ParseFileSharing(st.Element)
	if ok && shared.Size > 0 {
		size = shared.Size
	}
	if url := st.Child(xep.NSOOB, "x").Child("", "url").Text(); url != "" && (url == strings.TrimSpace(body) || body == "") {
		return s.m.files.Upload(url, shared.Name, shared.Type, size), ""
	}
	if !ok {
		return nil, ""
	}
	caption = strings.TrimSpace(strings.Replace(body, shared.URL, "", 1))
	if f, ok := xep.ParseFallback(st.Element, xep.NSFileSharing); ok && f.WholeBody {
		caption = shared.Desc
	}
	return s.m.files.Upload(shared.URL, shared.Name, shared.Type, size), caption
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
