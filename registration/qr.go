package registration

import (
	"bytes"
	"image"
	"image/color"
	"image/png"

	qr "github.com/piglig/go-qr"

	"transportd/component"
)

// Looks of a QR code, in pixels. With 4 a module, codes of addresses of 200 letters
// are as large as a hand; the border is what readers need (ISO/IEC 18004).
const (
	qrScale  = 4
	qrBorder = 4 // modules
	qrText   = 512
	maxBits  = 8192 // what may go in a stanza (XEP-0231 section 2)
)

// qr returns an address as a picture to be read by another device, or nil where it is
// too long for one.
func (s *Service) qr(address string) *component.Media {
	if len(address) > qrText {
		return nil
	}
	code, err := qr.EncodeText(address, qr.Low)
	if err != nil {
		s.log.Warn("an address has no QR code", "err", err)
		return nil
	}
	side := (code.Size() + 2*qrBorder) * qrScale
	picture := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if code.Module(x/qrScale-qrBorder, y/qrScale-qrBorder) {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&file, picture); err != nil || file.Len() > maxBits {
		s.log.Warn("a QR code is too large", "bytes", file.Len(), "err", err)
		return nil
	}
	return &component.Media{Bits: component.Bits{Type: "image/png", Data: file.Bytes()}, Width: side, Height: side}
}
