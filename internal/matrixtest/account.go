package matrixtest

import (
	"bytes"
	"encoding/json"
	"strings"
)

func (s *Server) accountRoutes() []route {
	return []route{
		{method: "GET", path: v3 + "account/whoami", handle: s.whoami},
		{method: "GET", path: v3 + "capabilities", handle: s.capabilities},
		{method: "GET", path: v3 + "devices", handle: s.getDevices},
		{method: "GET", path: v3 + "devices/{device}", handle: s.getDevice},
		{method: "PUT", path: v3 + "devices/{device}", handle: s.putDevice},
		{method: "DELETE", path: v3 + "devices/{device}", handle: s.deleteDevice},
		{method: "POST", path: v3 + "delete_devices", handle: s.deleteDevices},
		{method: "GET", path: v3 + "pushrules/{$}", handle: s.pushRules},
		{method: "GET", path: v3 + "pushrules/global/{$}", handle: s.globalRules},
		{method: "GET", path: v3 + "profile/{user}", handle: s.getProfile, open: true},
		{method: "GET", path: v3 + "profile/{user}/{field}", handle: s.getProfile, open: true},
		{method: "PUT", path: v3 + "profile/{user}/{field}", handle: s.putProfile},
		{method: "DELETE", path: v3 + "profile/{user}/{field}", handle: s.putProfile},
		{method: "GET", path: v3 + "user/{user}/account_data/{type}", handle: s.getData},
		{method: "PUT", path: v3 + "user/{user}/account_data/{type}", handle: s.putData},
		{method: "GET", path: v3 + "user/{user}/rooms/{room}/account_data/{type}", handle: s.getData},
		{method: "PUT", path: v3 + "user/{user}/rooms/{room}/account_data/{type}", handle: s.putData},
		{method: "GET", path: v3 + "user/{user}/rooms/{room}/tags", handle: s.getTags},
		{method: "PUT", path: v3 + "user/{user}/rooms/{room}/tags/{tag}", handle: s.putTag},
		{method: "DELETE", path: v3 + "user/{user}/rooms/{room}/tags/{tag}", handle: s.putTag},
		{method: "POST", path: v3 + "user_directory/search", handle: s.searchUsers},
	}
}

func (s *Server) whoami(q *request) (any, error) {
	return object{"user_id": q.user.ID, "device_id": q.dev.id, "is_guest": false}, nil
}

func (s *Server) capabilities(*request) (any, error) {
	known := object{}
	for _, v := range versions {
		known[v] = "stable"
	}
	yes := object{"enabled": true}
	return object{"capabilities": object{
		"m.room_versions":   object{"default": s.cfg.RoomVersion, "available": known},
		"m.change_password": object{"enabled": false}, "m.set_displayname": yes, "m.set_avatar_url": yes, "m.get_login_token": yes,
	}}, nil
}

func (d *device) describe() object {
	return object{"device_id": d.id, "display_name": d.name, "last_seen_ip": "127.0.0.1", "last_seen_ts": d.seen.UnixMilli()}
}

func (s *Server) getDevices(q *request) (any, error) {
	list := []object{}
	for _, id := range q.user.deviceIDs() {
		list = append(list, q.user.devices[id].describe())
	}
	return object{"devices": list}, nil
}

func (q *request) device() (*device, error) {
	if d := q.user.devices[q.PathValue("device")]; d != nil {
		return d, nil
	}
	return nil, notFound("No such device.")
}

func (s *Server) getDevice(q *request) (any, error) {
	d, err := q.device()
	if err != nil {
		return nil, err
	}
	return d.describe(), nil
}

func (s *Server) putDevice(q *request) (any, error) {
	var in struct {
		Name string `json:"display_name"`
	}
	d, err := q.device()
	if err == nil {
		err = q.decode(&in)
	}
	if err != nil {
		return nil, err
	}
	d.name = in.Name
	return object{}, nil
}

type deleteRequest struct {
	Auth    json.RawMessage `json:"auth"`
	Devices []string        `json:"devices"`
}

func (s *Server) deleteDevice(q *request) (any, error) {
	var in deleteRequest
	if len(q.body) > 0 {
		if err := q.decode(&in); err != nil {
			return nil, err
		}
	}
	in.Devices = []string{q.PathValue("device")}
	return q.endDevices(in)
}

func (s *Server) deleteDevices(q *request) (any, error) {
	var in deleteRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	return q.endDevices(in)
}

func (q *request) endDevices(in deleteRequest) (any, error) {
	if err := q.s.interactive(in.Auth, "m.login.password", q.user); err != nil {
		return nil, err
	}
	for _, id := range in.Devices {
		if d := q.user.devices[id]; d != nil {
			d.remove()
		}
	}
	return object{}, nil
}

func (s *Server) pushRules(q *request) (any, error) {
	rules, err := s.globalRules(q)
	return object{"global": rules}, err
}

// globalRules are none: nobody is notified.
func (s *Server) globalRules(*request) (any, error) {
	none := []object{}
	return object{"override": none, "content": none, "room": none, "sender": none, "underride": none}, nil
}

func (s *Server) getProfile(q *request) (any, error) {
	u := s.users[q.PathValue("user")]
	if u == nil {
		return nil, notFound("Profile was not found.")
	}
	all := object{}
	if u.name != "" {
		all["displayname"] = u.name
	}
	if u.avatar != "" {
		all["avatar_url"] = u.avatar
	}
	name := q.PathValue("field")
	if name == "" {
		return all, nil
	}
	v, ok := all[name]
	if !ok {
		return nil, notFound("Profile field was not found.")
	}
	return object{name: v}, nil
}

func (s *Server) putProfile(q *request) (any, error) {
	name, in := q.PathValue("field"), map[string]string{}
	if q.Method != "DELETE" {
		if err := q.decode(&in); err != nil {
			return nil, err
		}
		if _, ok := in[name]; !ok {
			return nil, refuse(400, "M_MISSING_PARAM", "Missing "+name)
		}
	}
	u := q.user
	if q.PathValue("user") != u.ID {
		return nil, forbidden("Cannot change the profile of another user.")
	}
	switch name {
	case "displayname":
		u.setProfile(in[name], u.avatar)
	case "avatar_url":
		u.setProfile(u.name, in[name])
	default:
		return nil, refuse(400, "M_INVALID_PARAM", "Unknown profile field.")
	}
	return object{}, nil
}

// data is the account data a path speaks of: of the account, or of a room.
func (q *request) data() (*recent[string, json.RawMessage], *Room, error) {
	if q.PathValue("user") != q.user.ID {
		return nil, nil, forbidden("Cannot use the account data of other users.")
	}
	id := q.PathValue("room")
	if id == "" {
		return &q.user.data, nil, nil
	}
	r := q.s.rooms[id]
	if r == nil {
		return nil, nil, refuse(400, "M_INVALID_PARAM", "No such room.")
	}
	return q.user.dataOf(r), r, nil
}

func (u *User) dataOf(r *Room) *recent[string, json.RawMessage] {
	if u.roomData == nil {
		u.roomData = map[*Room]*recent[string, json.RawMessage]{}
	}
	if u.roomData[r] == nil {
		u.roomData[r] = new(recent[string, json.RawMessage])
	}
	return u.roomData[r]
}

func (s *Server) getData(q *request) (any, error) {
	data, _, err := q.data()
	if err != nil {
		return nil, err
	}
	content, ok := data.get(q.PathValue("type"))
	if !ok {
		return nil, notFound("Account data not found.")
	}
	return raw(content), nil
}

func (s *Server) putData(q *request) (any, error) {
	_, r, err := q.data()
	if err == nil {
		err = q.decode(&object{})
	}
	if err != nil {
		return nil, err
	}
	typ := q.PathValue("type")
	if typ == "m.fully_read" || typ == "m.push_rules" {
		return nil, refuse(405, "M_BAD_JSON", "Cannot set "+typ+" through this API.")
	}
	q.user.setData(r, typ, bytes.Clone(q.body))
	return object{}, nil
}

// setData changes account data, of the account where r is nil.
func (u *User) setData(r *Room, typ string, content json.RawMessage) {
	pos := u.s.next()
	if r == nil {
		u.data.put(typ, content, pos)
	} else {
		u.dataOf(r).put(typ, content, pos)
		u.touch(r, pos)
	}
	u.wakeUp()
}

// ignored are the users of m.ignored_user_list.
func (u *User) ignored() map[string]bool {
	var list struct {
		Users map[string]json.RawMessage `json:"ignored_users"`
	}
	content, ok := u.data.get("m.ignored_user_list")
	if !ok || json.Unmarshal(content, &list) != nil {
		return nil
	}
	out := map[string]bool{}
	for id := range list.Users {
		out[id] = true
	}
	return out
}

func (q *request) tags() (tags map[string]json.RawMessage, r *Room, err error) {
	data, r, err := q.data()
	if err != nil {
		return nil, nil, err
	}
	var content struct {
		Tags map[string]json.RawMessage `json:"tags"`
	}
	if old, ok := data.get("m.tag"); ok {
		_ = json.Unmarshal(old, &content) // a client may have put anything there
	}
	if content.Tags == nil {
		content.Tags = map[string]json.RawMessage{}
	}
	return content.Tags, r, nil
}

func (s *Server) getTags(q *request) (any, error) {
	tags, _, err := q.tags()
	return object{"tags": tags}, err
}

func (s *Server) putTag(q *request) (any, error) {
	tags, r, err := q.tags()
	if err != nil {
		return nil, err
	}
	delete(tags, q.PathValue("tag"))
	if q.Method == "PUT" {
		if err := q.decode(&object{}); err != nil {
			return nil, err
		}
		tags[q.PathValue("tag")] = bytes.Clone(q.body)
	}
	q.user.setData(r, "m.tag", encode(object{"tags": tags}))
	return object{}, nil
}

func (s *Server) searchUsers(q *request) (any, error) {
	in := struct {
		Term  string `json:"search_term"`
		Limit int    `json:"limit"`
	}{Limit: 10}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	term, results, limited := strings.ToLower(in.Term), []object{}, false
	for _, u := range s.sortedUsers() {
		if u == q.user || !strings.Contains(strings.ToLower(u.ID), term) && !strings.Contains(strings.ToLower(u.name), term) {
			continue
		}
		if len(results) >= in.Limit {
			limited = true
			break
		}
		one := object{"user_id": u.ID, "display_name": u.name}
		if u.avatar != "" {
			one["avatar_url"] = u.avatar
		}
		results = append(results, one)
	}
	return object{"results": results, "limited": limited}, nil
}
