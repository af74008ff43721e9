package matrixtest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// filter is what a client wants of a sync.
type filter struct {
	Room struct {
		Rooms     []string    `json:"rooms"`
		NotRooms  []string    `json:"not_rooms"`
		Left      bool        `json:"include_leave"`
		Timeline  eventFilter `json:"timeline"`
		State     eventFilter `json:"state"`
		Ephemeral eventFilter `json:"ephemeral"`
		Data      eventFilter `json:"account_data"`
	} `json:"room"`
	Presence eventFilter `json:"presence"`
	Data     eventFilter `json:"account_data"`
}

// eventFilter chooses events. A list that is not there allows all, an empty one
// nothing.
type eventFilter struct {
	Limit      *int     `json:"limit"`
	Types      []string `json:"types"`
	NotTypes   []string `json:"not_types"`
	Senders    []string `json:"senders"`
	NotSenders []string `json:"not_senders"`
	Rooms      []string `json:"rooms"`
	NotRooms   []string `json:"not_rooms"`
	URL        *bool    `json:"contains_url"`
	Lazy       bool     `json:"lazy_load_members"`
}

// limit is how many events are wanted.
func (f *eventFilter) limit(def, most int) int {
	if f.Limit == nil || *f.Limit < 1 {
		return def
	}
	return min(*f.Limit, most)
}

// wantsType compares with patterns that may end in *.
func (f *eventFilter) wantsType(typ string) bool {
	is := func(p string) bool {
		start, wild := strings.CutSuffix(p, "*")
		return p == typ || wild && strings.HasPrefix(typ, start)
	}
	return (f.Types == nil || slices.ContainsFunc(f.Types, is)) && !slices.ContainsFunc(f.NotTypes, is)
}

func (f *eventFilter) wantsRoom(id string) bool {
	return (f.Rooms == nil || slices.Contains(f.Rooms, id)) && !slices.Contains(f.NotRooms, id)
}

func (f *eventFilter) wants(e *Event) bool {
	if f.URL != nil && *f.URL != (field(e.Content, "url") != "") {
		return false
	}
	return f.wantsType(e.Type) && (f.Senders == nil || slices.Contains(f.Senders, e.Sender)) && !slices.Contains(f.NotSenders, e.Sender)
}

func (f *filter) wantsRoom(id string) bool {
	return (f.Room.Rooms == nil || slices.Contains(f.Room.Rooms, id)) && !slices.Contains(f.Room.NotRooms, id)
}

// filter reads the filter parameter: JSON, or the id of a stored one.
func (q *request) filter() (*filter, error) {
	v := q.query("filter")
	text := []byte(v)
	if v != "" && v[0] != '{' {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n >= len(q.user.filters) {
			return nil, notFound("No such filter.")
		}
		text = q.user.filters[n]
	}
	f := new(filter)
	if len(text) > 0 && json.Unmarshal(text, f) != nil {
		return nil, refuse(400, "M_BAD_JSON", "Bad filter.")
	}
	return f, nil
}

// eventFilter reads the filter parameter of /messages and /context.
func (q *request) eventFilter() (*eventFilter, error) {
	f := new(eventFilter)
	if v := q.query("filter"); v != "" && json.Unmarshal([]byte(v), f) != nil {
		return nil, refuse(400, "M_BAD_JSON", "Bad filter.")
	}
	return f, nil
}

func (s *Server) postFilter(q *request) (any, error) {
	if err := q.decode(new(filter)); err != nil {
		return nil, err
	}
	if q.PathValue("user") != q.user.ID {
		return nil, forbidden("Cannot create filters for other users.")
	}
	q.user.filters = append(q.user.filters, bytes.Clone(q.body))
	return object{"filter_id": strconv.Itoa(len(q.user.filters) - 1)}, nil
}

func (s *Server) getFilter(q *request) (any, error) {
	n, err := strconv.Atoi(q.PathValue("filter"))
	if q.PathValue("user") != q.user.ID || err != nil || n < 0 || n >= len(q.user.filters) {
		return nil, notFound("No such filter.")
	}
	return raw(q.user.filters[n]), nil
}
