package picture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/png"
	"math/rand"
	"strings"
	"testing"
)

func pngOf(t *testing.T, w, h int, at func(x, y int) color.NRGBA) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, at(x, y))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func red(int, int) color.NRGBA { return color.NRGBA{R: 255, A: 255} }

func TestClean(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	noise := func(int, int) color.NRGBA {
		return color.NRGBA{uint8(rnd.Int()), uint8(rnd.Int()), uint8(rnd.Int()), uint8(rnd.Int())}
	}
	anim := &gif.GIF{Delay: []int{1, 1}}
	for range 2 {
		anim.Image = append(anim.Image, image.NewPaletted(image.Rect(0, 0, 20, 10), palette.Plan9))
	}
	var moving bytes.Buffer
	if err := gif.EncodeAll(&moving, anim); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		in   []byte
		w, h int
		kind string
	}{
		"small":       {pngOf(t, 10, 20, red), 10, 20, "image/jpeg"},
		"large":       {pngOf(t, 800, 400, red), 192, 96, "image/jpeg"},
		"thin":        {pngOf(t, 1000, 1, red), 192, 1, "image/jpeg"},
		"transparent": {pngOf(t, 5, 5, func(int, int) color.NRGBA { return color.NRGBA{G: 9, A: 90} }), 5, 5, "image/png"},
		"noise":       {pngOf(t, 192, 192, noise), 96, 96, "image/png"},
		"animated":    {moving.Bytes(), 20, 10, "image/jpeg"},
	} {
		t.Run(name, func(t *testing.T) {
			data, kind, err := Clean(context.Background(), bytes.NewReader(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			m, format, err := image.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if b := m.Bounds(); b.Dx() != tc.w || b.Dy() != tc.h || kind != tc.kind || "image/"+format != kind || len(data) > MaxOutput {
				t.Errorf("got %v %s (%s), %d bytes", b, kind, format, len(data))
			}
		})
	}
}

func TestCleanRefuses(t *testing.T) {
	whole := pngOf(t, 64, 64, red)
	bomb := bytes.Clone(whole)
	binary.BigEndian.PutUint32(bomb[16:], 50000) // width and height of IHDR
	binary.BigEndian.PutUint32(bomb[20:], 50000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	for name, tc := range map[string]struct {
		in   string
		want error
	}{
		"nothing":   {"", ErrKind},
		"svg":       {`<svg xmlns="http://www.w3.org/2000/svg"/>`, ErrKind},
		"truncated": {string(whole[:len(whole)-20]), ErrKind},
		"bomb":      {string(bomb), ErrLarge},
		"endless":   {strings.Repeat("x", MaxInput+1), ErrLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if data, _, err := Clean(context.Background(), strings.NewReader(tc.in)); !errors.Is(err, tc.want) || data != nil {
				t.Errorf("got %d bytes, %v", len(data), err)
			}
		})
	}
}

func TestCleanLeavesNothingButPixels(t *testing.T) {
	whole := pngOf(t, 8, 8, red)
	secret := "tEXtGPS\x00the-garden-gate"
	var chunk bytes.Buffer
	_ = binary.Write(&chunk, binary.BigEndian, uint32(len(secret)-4))
	chunk.WriteString(secret)
	_ = binary.Write(&chunk, binary.BigEndian, crc32.ChecksumIEEE([]byte(secret)))
	in := append(append(bytes.Clone(whole[:33]), chunk.Bytes()...), whole[33:]...)
	data, _, err := Clean(context.Background(), bytes.NewReader(in))
	if err != nil || bytes.Contains(data, []byte("garden")) {
		t.Errorf("got %q, %v", data, err)
	}
}
