package matrixtest

import (
	"encoding/json"
	"strconv"
	"strings"
)

// object is a JSON object in an answer or a content.
type object = map[string]any

// writer builds JSON that is too big or too frequent for reflection.
type writer struct{ b []byte }

func (w *writer) comma() {
	if n := len(w.b); n > 0 && !strings.ContainsRune("{[:", rune(w.b[n-1])) {
		w.b = append(w.b, ',')
	}
}

func (w *writer) key(k string) *writer {
	w.comma()
	w.b = append(appendString(w.b, k), ':')
	return w
}

func (w *writer) open(c byte) {
	w.comma()
	w.b = append(w.b, c)
}

func (w *writer) close(c byte) { w.b = append(w.b, c) }

func (w *writer) raw(v []byte) {
	w.comma()
	w.b = append(w.b, v...)
}

func (w *writer) str(v string) {
	w.comma()
	w.b = appendString(w.b, v)
}

func (w *writer) int(v int64) {
	w.comma()
	w.b = strconv.AppendInt(w.b, v, 10)
}

func (w *writer) bool(v bool) {
	w.comma()
	w.b = strconv.AppendBool(w.b, v)
}

func appendString(b []byte, s string) []byte {
	q, _ := json.Marshal(s) // a string always has a form
	return append(b, q...)
}

// encode is the JSON of what the package itself has made.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("matrixtest: " + err.Error())
	}
	return b
}

// field reads one string of an object; whatever else is there reads as "".
func field(content json.RawMessage, name string) string {
	var all map[string]json.RawMessage
	var s string
	if json.Unmarshal(content, &all) != nil || json.Unmarshal(all[name], &s) != nil {
		return ""
	}
	return s
}
