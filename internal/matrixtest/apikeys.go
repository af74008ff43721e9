package matrixtest

import (
	"encoding/json"
	"slices"
	"strings"
)

// Keys are stored and handed out as they came; nothing is checked.
func (s *Server) keyRoutes() []route {
	return []route{
		{method: "POST", path: v3 + "keys/upload", handle: s.uploadKeys},
		{method: "POST", path: v3 + "keys/query", handle: s.queryKeys},
		{method: "POST", path: v3 + "keys/claim", handle: s.claimKeys},
		{method: "GET", path: v3 + "keys/changes", handle: s.keyChanges},
		{method: "POST", path: v3 + "keys/device_signing/upload", handle: s.uploadSigning},
		{method: "POST", path: v3 + "keys/signatures/upload", handle: s.uploadSignatures},
		{method: "PUT", path: v3 + "sendToDevice/{type}/{txn}", handle: s.sendToDevice},
	}
}

func rawJSON(b []byte) json.RawMessage { return b }

func (s *Server) uploadKeys(q *request) (any, error) {
	var in struct {
		Device   json.RawMessage            `json:"device_keys"`
		OneTime  map[string]json.RawMessage `json:"one_time_keys"`
		Fallback map[string]json.RawMessage `json:"fallback_keys"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	d := q.dev
	if len(in.Device) > 0 {
		d.keys = slices.Clone(in.Device)
		d.user.keysChanged()
	}
	for _, list := range []struct {
		from map[string]json.RawMessage
		to   *map[string]json.RawMessage
	}{{in.OneTime, &d.one}, {in.Fallback, &d.back}} {
		if *list.to == nil {
			*list.to = map[string]json.RawMessage{}
		}
		for id, k := range list.from {
			(*list.to)[id] = slices.Clone(k)
		}
	}
	return object{"one_time_key_counts": d.keyCounts()}, nil
}

// keyCounts counts one-time keys by algorithm.
func (d *device) keyCounts() map[string]int {
	counts := map[string]int{}
	if len(d.keys) > 0 {
		counts["signed_curve25519"] = 0
	}
	for id := range d.one {
		algorithm, _, _ := strings.Cut(id, ":")
		counts[algorithm]++
	}
	return counts
}

// fallbacks are the algorithms of the fallback keys.
func (d *device) fallbacks() []string {
	list := []string{}
	for id := range d.back {
		algorithm, _, _ := strings.Cut(id, ":")
		if !slices.Contains(list, algorithm) {
			list = append(list, algorithm)
		}
	}
	slices.Sort(list)
	return list
}

func (s *Server) queryKeys(q *request) (any, error) {
	var in struct {
		Devices map[string][]string `json:"device_keys"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	keys, signing := object{}, object{"master_keys": object{}, "self_signing_keys": object{}, "user_signing_keys": object{}}
	for id, only := range in.Devices {
		all := object{}
		if u := s.users[id]; u != nil {
			for name, d := range u.devices {
				if len(d.keys) > 0 && (len(only) == 0 || slices.Contains(only, name)) {
					all[name] = d.keys
				}
			}
			for name, k := range u.signing.list() {
				if len(*k) > 0 && (name != "user_signing_key" || u == q.user) {
					child(signing, name+"s")[id] = *k
				}
			}
		}
		keys[id] = all
	}
	signing["device_keys"], signing["failures"] = keys, object{}
	return signing, nil
}

func (s *Server) claimKeys(q *request) (any, error) {
	var in struct {
		Claims map[string]map[string]string `json:"one_time_keys"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	keys := object{}
	for id, devices := range in.Claims {
		for name, algorithm := range devices {
			u := s.users[id]
			if u == nil || u.devices[name] == nil {
				continue
			}
			if key, k := u.devices[name].claim(algorithm); k != nil {
				child(keys, id)[name] = object{key: k}
			}
		}
	}
	return object{"one_time_keys": keys, "failures": object{}}, nil
}

// claim takes a one-time key away, or returns the fallback key.
func (d *device) claim(algorithm string) (string, json.RawMessage) {
	for _, list := range []map[string]json.RawMessage{d.one, d.back} {
		ids := make([]string, 0, len(list))
		for id := range list {
			if strings.HasPrefix(id, algorithm+":") {
				ids = append(ids, id)
			}
		}
		if len(ids) > 0 {
			id := slices.Min(ids)
			key := list[id]
			delete(d.one, id)
			return id, key
		}
	}
	return "", nil
}
