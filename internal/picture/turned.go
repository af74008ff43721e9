package picture

import (
	"bytes"
	"encoding/binary"
)

// turned tells whether a JPEG picture says that it is to be shown otherwise than it is
// stored: turned or mirrored (Exif, "Orientation").
func turned(raw []byte) bool {
	if !bytes.HasPrefix(raw, []byte{0xff, 0xd8}) {
		return false
	}
	for raw = raw[2:]; len(raw) >= 4 && raw[0] == 0xff; {
		marker, size := raw[1], int(binary.BigEndian.Uint16(raw[2:]))
		if marker == 0xda || size < 2 || len(raw) < 2+size { // the picture itself begins
			return false
		}
		if exif, ok := bytes.CutPrefix(raw[4:2+size], []byte("Exif\x00\x00")); marker == 0xe1 && ok {
			o := orientation(exif)
			return o > 1 && o <= 8
		}
		raw = raw[2+size:]
	}
	return false
}

// orientation reads the tag of that name in the first directory of a TIFF file; 0:
// there is none.
func orientation(tiff []byte) uint16 {
	const tag = 0x0112
	var order binary.ByteOrder = binary.BigEndian
	if bytes.HasPrefix(tiff, []byte("II")) {
		order = binary.LittleEndian
	}
	if len(tiff) < 8 {
		return 0
	}
	at := order.Uint32(tiff[4:])
	if uint64(at)+2 > uint64(len(tiff)) {
		return 0
	}
	count := int(order.Uint16(tiff[at:]))
	entries := tiff[at+2:]
	for i := 0; i < count && len(entries) >= (i+1)*12; i++ {
		if e := entries[i*12:]; order.Uint16(e) == tag {
			return order.Uint16(e[8:])
		}
	}
	return 0
}
