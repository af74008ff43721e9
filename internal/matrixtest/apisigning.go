package matrixtest

import (
	"encoding/json"
	"maps"
	"slices"
)

// signing are a user's cross-signing keys.
type signing struct {
	master, self, user json.RawMessage
}

// list is all of them, by their places in answers.
func (k *signing) list() map[string]*json.RawMessage {
	return map[string]*json.RawMessage{"master_key": &k.master, "self_signing_key": &k.self, "user_signing_key": &k.user}
}

// uploadSigning stores cross-signing keys: the first without asking, others with
// the password.
func (s *Server) uploadSigning(q *request) (any, error) {
	in := map[string]json.RawMessage{}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	u := q.user
	if len(u.signing.master) > 0 {
		if err := s.interactive(in["auth"], "m.login.password", u); err != nil {
			return nil, err
		}
	}
	for name, at := range u.signing.list() {
		if k := in[name]; len(k) > 0 {
			*at = slices.Clone(k)
		}
	}
	u.keysChanged()
	return object{}, nil
}

// uploadSignatures adds signatures to keys that are stored.
func (s *Server) uploadSignatures(q *request) (any, error) {
	in := map[string]map[string]json.RawMessage{}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	failures := object{}
	for id, list := range in {
		u := s.users[id]
		for name, signed := range list {
			if u == nil || !u.sign(name, signed) {
				child(failures, id)[name] = object{"errcode": "M_NOT_FOUND", "error": "No such key."}
			}
		}
		if u != nil {
			u.keysChanged()
		}
	}
	return object{"failures": failures}, nil
}

// sign adds signatures to a device's keys, or to a cross-signing key by its public
// part.
func (u *User) sign(name string, signed json.RawMessage) bool {
	if d := u.devices[name]; d != nil && len(d.keys) > 0 {
		d.keys = withSignatures(d.keys, signed)
		return true
	}
	for _, at := range u.signing.list() {
		var k struct {
			Keys map[string]string `json:"keys"`
		}
		if json.Unmarshal(*at, &k) == nil && slices.Contains(slices.Collect(maps.Values(k.Keys)), name) {
			*at = withSignatures(*at, signed)
			return true
		}
	}
	return false
}

// withSignatures returns a key with the signatures of another copy besides its own.
func withSignatures(key, more json.RawMessage) json.RawMessage {
	var a map[string]json.RawMessage
	var b struct {
		Signatures map[string]map[string]string `json:"signatures"`
	}
	all := map[string]map[string]string{}
	if json.Unmarshal(key, &a) != nil || json.Unmarshal(more, &b) != nil {
		return key
	}
	if old, ok := a["signatures"]; ok && json.Unmarshal(old, &all) != nil {
		return key
	}
	for by, list := range b.Signatures {
		if all[by] == nil {
			all[by] = map[string]string{}
		}
		maps.Copy(all[by], list)
	}
	a["signatures"] = encode(all)
	return encode(a)
}
