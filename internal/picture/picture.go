// Package picture makes pictures of strangers safe to pass on: small, still, and
// with nothing in them but pixels.
package picture

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	_ "image/gif" // the kinds that are read
	"image/jpeg"
	"image/png"
	"io"
)

const (
	// MaxInput is what is read of a picture, in bytes.
	MaxInput = 8 << 20
	// MaxOutput is the size of what Clean returns, in bytes.
	MaxOutput = 128 << 10
	// MaxSide is the longer side of what Clean returns, in pixels.
	MaxSide = 192
	// ThumbnailSide is the longer side of what Thumbnail returns, in pixels.
	ThumbnailSide = 480

	maxPixels = 4 << 20 // of what is decoded: a progressive JPEG takes 16 bytes for each
)

// Errors of Clean.
var (
	ErrKind   = errors.New("picture: not a PNG, JPEG or GIF picture")
	ErrLarge  = errors.New("picture: too large")
	ErrSmall  = errors.New("picture: no larger than its thumbnail would be")
	ErrTurned = errors.New("picture: to be shown turned")
)

// decoding is held by who decodes: one picture at a time bounds the memory.
var decoding = make(chan struct{}, 1)

// Clean reads a picture and writes it anew, scaled down to MaxSide; of an animation
// it is the first frame. It returns the bytes and their media type. What the header
// says is judged before anything is decoded. It blocks while r does, and while
// another picture is decoded until ctx ends.
func Clean(ctx context.Context, r io.Reader) (data []byte, mediaType string, err error) {
	raw, _, err := read(r)
	if err != nil {
		return nil, "", err
	}
	return redraw(ctx, raw, MaxSide)
}

// Thumbnail is Clean for a picture that is there in full too: scaled down to
// ThumbnailSide, and not at all where it is smaller, or shown turned by what its
// camera says (Exif).
func Thumbnail(ctx context.Context, r io.Reader) (data []byte, mediaType string, size image.Point, err error) {
	raw, head, err := read(r)
	switch {
	case err != nil:
		return nil, "", image.Point{}, err
	case max(head.Width, head.Height) <= ThumbnailSide:
		return nil, "", image.Point{}, ErrSmall
	case turned(raw):
		return nil, "", image.Point{}, ErrTurned
	}
	if data, mediaType, err = redraw(ctx, raw, ThumbnailSide); err != nil {
		return nil, "", image.Point{}, err
	}
	drawn, _, err := image.DecodeConfig(bytes.NewReader(data))
	return data, mediaType, image.Pt(drawn.Width, drawn.Height), err
}

// read reads a picture, and what its header says.
func read(r io.Reader) ([]byte, image.Config, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxInput+1))
	if err != nil {
		return nil, image.Config{}, err
	}
	if len(raw) > MaxInput {
		return nil, image.Config{}, ErrLarge
	}
	head, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil || head.Width <= 0 || head.Height <= 0 {
		return nil, head, ErrKind
	}
	if head.Width > maxPixels || head.Height > maxPixels || head.Width*head.Height > maxPixels {
		return nil, head, ErrLarge
	}
	return raw, head, nil
}

// redraw decodes a picture and draws it anew, with its longer side at most side pixels.
func redraw(ctx context.Context, raw []byte, longest int) (data []byte, mediaType string, err error) {
	select {
	case decoding <- struct{}{}:
		defer func() { <-decoding }()
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	src, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, "", ErrKind
	}
	if src.Bounds().Empty() {
		return nil, "", ErrKind
	}
	for side := longest; side >= longest/4; side /= 2 {
		if data, mediaType, err = encode(scale(src, side)); err != nil {
			return nil, "", err
		}
		if len(data) <= MaxOutput {
			return data, mediaType, nil
		}
	}
	return nil, "", ErrLarge
}

func encode(m *image.NRGBA) ([]byte, string, error) {
	var b bytes.Buffer
	if m.Opaque() {
		err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 88})
		return b.Bytes(), "image/jpeg", err
	}
	err := png.Encode(&b, m)
	return b.Bytes(), "image/png", err
}

// scale makes each pixel the mean of those it stands for.
func scale(src image.Image, side int) *image.NRGBA {
	from := src.Bounds()
	w, h := from.Dx(), from.Dy()
	if long := max(w, h); long > side {
		w, h = max(1, w*side/long), max(1, h*side/long)
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		y0, y1 := from.Min.Y+y*from.Dy()/h, from.Min.Y+(y+1)*from.Dy()/h
		for x := range w {
			x0, x1 := from.Min.X+x*from.Dx()/w, from.Min.X+(x+1)*from.Dx()/w
			out.Set(x, y, mean(src, image.Rect(x0, y0, x1, y1)))
		}
	}
	return out
}

func mean(src image.Image, box image.Rectangle) color.RGBA64 {
	var r, g, b, a, n uint64
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			pr, pg, pb, pa := src.At(x, y).RGBA()
			r, g, b, a, n = r+uint64(pr), g+uint64(pg), b+uint64(pb), a+uint64(pa), n+1
		}
	}
	return color.RGBA64{R: uint16(r / n), G: uint16(g / n), B: uint16(b / n), A: uint16(a / n)}
}
