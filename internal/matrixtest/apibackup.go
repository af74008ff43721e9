package matrixtest

import (
	"encoding/json"
	"slices"
	"strconv"
)

// backup is one version of a user's key backup.
type backup struct {
	algorithm string
	auth      json.RawMessage
	rooms     map[string]map[string]json.RawMessage // session data by room and session
	changes   int
	deleted   bool
}

func (s *Server) backupRoutes() []route {
	list := []route{
		{method: "POST", path: v3 + "room_keys/version", handle: s.newBackup},
		{method: "GET", path: v3 + "room_keys/version", handle: s.getBackup},
		{method: "GET", path: v3 + "room_keys/version/{version}", handle: s.getBackup},
		{method: "PUT", path: v3 + "room_keys/version/{version}", handle: s.putBackup},
		{method: "DELETE", path: v3 + "room_keys/version/{version}", handle: s.deleteBackup},
	}
	for _, end := range []string{"", "/{room}", "/{room}/{session}"} {
		list = append(list,
			route{method: "GET", path: v3 + "room_keys/keys" + end, handle: s.getSessions},
			route{method: "PUT", path: v3 + "room_keys/keys" + end, handle: s.putSessions},
			route{method: "DELETE", path: v3 + "room_keys/keys" + end, handle: s.deleteSessions})
	}
	return list
}

func (b *backup) count() int {
	n := 0
	for _, sessions := range b.rooms {
		n += len(sessions)
	}
	return n
}

// stand is what changes of a backup answer.
func (b *backup) stand() object {
	return object{"count": b.count(), "etag": strconv.Itoa(b.changes)}
}

// backup finds a version by the path, the query, or the latest.
func (q *request) backup() (*backup, string, error) {
	v := q.PathValue("version")
	orDefault(&v, q.query("version"))
	all := q.user.backups
	if v == "" {
		for i, b := range slices.Backward(all) {
			if !b.deleted {
				return b, strconv.Itoa(i + 1), nil
			}
		}
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > len(all) || all[n-1].deleted {
		return nil, "", notFound("No such backup.")
	}
	return all[n-1], v, nil
}

type backupRequest struct {
	Algorithm string          `json:"algorithm"`
	Auth      json.RawMessage `json:"auth_data"`
}

func (s *Server) newBackup(q *request) (any, error) {
	var in backupRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	q.user.backups = append(q.user.backups, &backup{algorithm: in.Algorithm, auth: slices.Clone(in.Auth), rooms: map[string]map[string]json.RawMessage{}})
	return object{"version": strconv.Itoa(len(q.user.backups))}, nil
}

func (s *Server) getBackup(q *request) (any, error) {
	b, v, err := q.backup()
	if err != nil {
		return nil, err
	}
	o := b.stand()
	o["algorithm"], o["auth_data"], o["version"] = b.algorithm, b.auth, v
	return o, nil
}

func (s *Server) putBackup(q *request) (any, error) {
	var in backupRequest
	b, _, err := q.backup()
	if err == nil {
		err = q.decode(&in)
	}
	if err != nil {
		return nil, err
	}
	if in.Algorithm != b.algorithm {
		return nil, refuse(400, "M_INVALID_PARAM", "Algorithm does not match.")
	}
	b.auth = slices.Clone(in.Auth)
	return object{}, nil
}

func (s *Server) deleteBackup(q *request) (any, error) {
	b, _, err := q.backup()
	if err != nil {
		return nil, err
	}
	b.deleted = true
	return object{}, nil
}

type backupSessions struct {
	Sessions map[string]json.RawMessage `json:"sessions"`
}

func (s *Server) getSessions(q *request) (any, error) {
	b, _, err := q.backup()
	if err != nil {
		return nil, err
	}
	room, session := q.PathValue("room"), q.PathValue("session")
	switch {
	case session != "":
		if data := b.rooms[room][session]; data != nil {
			return raw(data), nil
		}
		return nil, notFound("No such session.")
	case room != "":
		return object{"sessions": b.sessions(room)}, nil
	}
	rooms := object{}
	for id := range b.rooms {
		rooms[id] = object{"sessions": b.sessions(id)}
	}
	return object{"rooms": rooms}, nil
}

func (b *backup) sessions(room string) map[string]json.RawMessage {
	if b.rooms[room] == nil {
		return map[string]json.RawMessage{}
	}
	return b.rooms[room]
}

// current is the backup a write is for, which must be the latest.
func (q *request) current() (*backup, error) {
	b, v, err := q.backup()
	if latest := strconv.Itoa(len(q.user.backups)); err == nil && v != latest {
		err = &Error{Status: 403, Code: "M_WRONG_ROOM_KEYS_VERSION", Text: "Wrong backup version.", more: object{"current_version": latest}}
	}
	return b, err
}

func (s *Server) putSessions(q *request) (any, error) {
	b, err := q.current()
	if err != nil {
		return nil, err
	}
	var in struct {
		Rooms map[string]backupSessions `json:"rooms"`
		backupSessions
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	room, session := q.PathValue("room"), q.PathValue("session")
	switch {
	case session != "":
		in.Rooms = map[string]backupSessions{room: {map[string]json.RawMessage{session: q.body}}}
	case room != "":
		in.Rooms = map[string]backupSessions{room: in.backupSessions}
	}
	for id, list := range in.Rooms {
		if b.rooms[id] == nil {
			b.rooms[id] = map[string]json.RawMessage{}
		}
		for name, data := range list.Sessions {
			b.rooms[id][name] = slices.Clone(data)
		}
	}
	b.changes++
	return b.stand(), nil
}

func (s *Server) deleteSessions(q *request) (any, error) {
	b, err := q.current()
	if err != nil {
		return nil, err
	}
	room, session := q.PathValue("room"), q.PathValue("session")
	switch {
	case session != "":
		delete(b.rooms[room], session)
	case room != "":
		delete(b.rooms, room)
	default:
		clear(b.rooms)
	}
	b.changes++
	return b.stand(), nil
}
