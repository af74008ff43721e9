package session

import (
	"context"
	"encoding/base64"
	"io"

	"transportd/bridges"
	"transportd/component"
)

// Pictures makes a picture that a stranger chose safe to pass on, and small: it
// returns the bytes and their media type. It may block until ctx ends.
type Pictures func(ctx context.Context, r io.Reader) (data []byte, mediaType string, err error)

type picture struct {
	data      []byte
	mediaType string
}

// fetchPicture reads a picture of the network's; it blocks, on a worker. Without one
// that can be shown it is empty: a card is worth telling without its picture.
func (s *Session) fetchPicture(ctx context.Context, net bridges.Network, ref string) (p picture) {
	opener, ok := net.(bridges.MediaOpener)
	if !ok || ref == "" || s.m.pictures == nil {
		return picture{}
	}
	media, err := opener.OpenMedia(ctx, ref)
	if err == nil {
		defer func() { _ = media.Close() }()
		p.data, p.mediaType, err = s.m.pictures(ctx, media)
	}
	if err != nil {
		s.log.Debug("a picture cannot be shown", "error", err)
		return picture{}
	}
	return p
}

// photo writes the PHOTO of a vCard (XEP-0054).
func (p picture) photo(o *component.Out) {
	if len(p.data) == 0 {
		return
	}
	o.Start("", "PHOTO").Elem("", "TYPE", p.mediaType)
	o.Elem("", "BINVAL", base64.StdEncoding.EncodeToString(p.data)).End()
}
