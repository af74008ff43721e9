package matrix

import (
	"bytes"
	"encoding/json"
	"math"
)

// object is a JSON object of which nothing is known: events are written by anybody,
// and one part that is not what it should be must not cost the others.
type object map[string]json.RawMessage

// readObject reads an object; nil: it is none.
func readObject(raw json.RawMessage) object {
	var o object
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	return o
}

func (o object) str(key string) string {
	var s string
	if raw, ok := o[key]; ok && json.Unmarshal(raw, &s) == nil {
		return cleanText(s)
	}
	return ""
}

func (o object) obj(key string) object { return readObject(o[key]) }

func (o object) has(key string) bool {
	raw, ok := o[key]
	return ok && !bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

func (o object) bool(key string) bool {
	var b bool
	return json.Unmarshal(o[key], &b) == nil && b
}

func (o object) list(key string) []json.RawMessage {
	var l []json.RawMessage
	if json.Unmarshal(o[key], &l) != nil {
		return nil
	}
	return l
}

// strs is a list of strings; what is none in it is left out.
func (o object) strs(key string) (out []string) {
	for _, raw := range o.list(key) {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			out = append(out, cleanText(s))
		}
	}
	return out
}

// count is a number of something, at most limit: 0 where it is none.
func (o object) count(key string, limit int64) int64 {
	var f float64
	if json.Unmarshal(o[key], &f) != nil || math.IsNaN(f) || f <= 0 {
		return 0
	}
	if f >= float64(limit) {
		return limit
	}
	return int64(f)
}
