package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"testing"
)

// photo is a JPEG picture whose camera says how it is to be shown.
func photo(t *testing.T, w, h int, order binary.AppendByteOrder, mark string, orientation uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil); err != nil {
		t.Fatal(err)
	}
	tiff := order.AppendUint32(order.AppendUint16([]byte(mark), 42), 8)
	tiff = order.AppendUint16(tiff, 2)
	for _, e := range [][2]uint16{{0x010f, 7}, {0x0112, orientation}} {
		tiff = order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, e[0]), 3), 1)
		tiff = append(order.AppendUint16(tiff, e[1]), 0, 0)
	}
	exif := append([]byte("Exif\x00\x00"), tiff...)
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(2+len(exif)))
	return append(append(head, exif...), b.Bytes()[2:]...)
}

func TestThumbnail(t *testing.T) {
	blue := func(int, int) color.NRGBA { return color.NRGBA{B: 255, A: 255} }
	data, kind, size, err := Thumbnail(t.Context(), bytes.NewReader(pngOf(t, 960, 480, blue)))
	if err != nil || kind != "image/jpeg" || size != image.Pt(480, 240) || len(data) == 0 {
		t.Errorf("%d bytes, %q, %v, %v", len(data), kind, size, err)
	}
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"small":     {pngOf(t, 480, 9, blue), ErrSmall},
		"no":        {[]byte("no picture"), ErrKind},
		"upright":   {photo(t, 500, 9, binary.LittleEndian, "II", 1), nil},
		"on a side": {photo(t, 500, 9, binary.LittleEndian, "II", 6), ErrTurned},
		"mirrored":  {photo(t, 500, 9, binary.BigEndian, "MM", 2), ErrTurned},
	} {
		if data, _, _, err := Thumbnail(t.Context(), bytes.NewReader(c.in)); !errors.Is(err, c.want) || (err == nil) != (len(data) > 0) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func FuzzTurned(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x10Exif\x00\x00II*\x00\x08\x00\x00\x00"))
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x16Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12"))
	f.Fuzz(func(_ *testing.T, raw []byte) { turned(raw) })
}
