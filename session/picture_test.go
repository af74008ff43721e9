package session

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"testing"
)

func TestCardHasThePicture(t *testing.T) {
	scenario(t, func(w *world) {
		w.m.pictures = func(_ context.Context, r io.Reader) ([]byte, string, error) {
			raw, err := io.ReadAll(r)
			return append([]byte("clean "), raw...), "image/png", err
		}
		w.join("a", "alice")
		w.from(vcard)
		w.expect(`type="result" & !PHOTO`)
		w.net().Avatar = "face"
		w.from(vcard)
		w.expect(`type="result" & bob & <PHOTO><TYPE>image/png</TYPE><BINVAL>` +
			base64.StdEncoding.EncodeToString([]byte("clean file face")) + `</BINVAL></PHOTO>`)

		w.m.pictures = func(context.Context, io.Reader) ([]byte, string, error) { return nil, "", errors.New("a bomb") }
		w.from(vcard)
		w.expect(`type="result" & bob & !PHOTO`)
		w.m.pictures = nil
		w.from(vcard)
		w.expect(`type="result" & bob & !PHOTO`)
	})
}
