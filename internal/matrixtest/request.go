package matrixtest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Request is a request the server got.
type Request struct {
	At     time.Time
	User   string // full id, "" where nobody was logged in
	Device string
	Method string
	Path   string // with its query, but without access tokens
	Body   []byte // of JSON and forms
	Status int    // 0: the connection was cut before an answer
}

// request is a request as handlers see it.
type request struct {
	*http.Request
	s    *Server
	user *User // nil where nobody needs to be logged in
	dev  *device
	body []byte
}

// answer is a whole answer; what handlers return as something else is JSON.
type answer struct {
	status int
	typ    string
	header http.Header
	body   []byte
}

// raw is JSON that has been written already.
func raw(b []byte) *answer { return &answer{status: 200, typ: "application/json", body: b} }

type handler func(q *request) (any, error)

// route is one endpoint.
type route struct {
	method, path string
	handle       handler
	open         bool // nobody needs to be logged in
	unlocked     bool // the handler locks by itself
	media        bool // the body is no JSON
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, list := range [][]route{
		s.loginRoutes(), s.oauthRoutes(), s.accountRoutes(), s.syncRoutes(), s.roomRoutes(), s.stateRoutes(), s.sendRoutes(),
		s.historyRoutes(), s.directoryRoutes(), s.mediaRoutes(), s.keyRoutes(), s.backupRoutes(), s.spaceRoutes(),
	} {
		for _, r := range list {
			name := r.method + " " + r.path
			mux.HandleFunc(name, func(w http.ResponseWriter, h *http.Request) { s.run(w, h, r, name) })
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, h *http.Request) {
		s.run(w, h, route{open: true, handle: func(*request) (any, error) {
			return nil, refuse(404, "M_UNRECOGNIZED", "Unrecognized request")
		}}, "unknown")
	})
	return mux
}

func (s *Server) serve(w http.ResponseWriter, h *http.Request) {
	s.mu.Lock()
	stopped := s.ctx.Err() != nil
	if !stopped {
		s.busy.Add(1)
	}
	s.mu.Unlock()
	if stopped {
		panic(http.ErrAbortHandler)
	}
	defer s.busy.Done()
	w.Header().Set("Access-Control-Allow-Origin", "*")
	for _, part := range []string{"/_matrix/client/", "/_matrix/media/"} { // older clients say r0
		if rest, ok := strings.CutPrefix(h.URL.Path, part+"r0/"); ok {
			h.URL.Path = part + "v3/" + rest
			h.URL.RawPath = strings.Replace(h.URL.RawPath, "/r0/", "/v3/", 1)
		}
	}
	s.mux.ServeHTTP(w, h)
}

// errGone ends a request whose client has gone, or whose server stops: it gets no
// answer.
var errGone = errors.New("gone")

// maxBody is the size of a JSON body.
const maxBody = 1 << 20

// run answers a request: reads it, checks who it is from, applies the faults
// that were asked for, and sends what the handler says.
func (s *Server) run(w http.ResponseWriter, h *http.Request, r route, name string) {
	q := &request{Request: h, s: s}
	rec := Request{At: time.Now(), Method: h.Method, Path: cleanPath(h)}
	var a *answer
	err := q.read(r)
	if err == nil {
		err = s.try(func() error { return q.authenticate(r.open) })
	}
	if q.user != nil {
		rec.User, rec.Device = q.user.ID, q.dev.id
	}
	if !r.media {
		rec.Body = q.body
	}
	fault := s.match(rec.User, h.Method, rec.Path)
	if fault.before(q) {
		s.remember(rec, name)
		panic(http.ErrAbortHandler)
	}
	if err == nil {
		err = fault.refuse()
	}
	if err == nil {
		err = s.limited(rec)
	}
	if err == nil {
		a, err = q.handle(r)
	}
	if errors.Is(err, errGone) {
		s.remember(rec, name)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		a = failure(err)
	}
	rec.Status = fault.status(a.status)
	s.remember(rec, name)
	fault.send(w, h, a)
}

func cleanPath(h *http.Request) string {
	v := h.URL.Query()
	if v.Has("access_token") {
		v.Set("access_token", "hidden")
	}
	if len(v) == 0 {
		return h.URL.Path
	}
	return h.URL.Path + "?" + v.Encode()
}

func (q *request) read(r route) error {
	limit := int64(maxBody)
	if r.media {
		limit = q.s.cfg.MaxUpload
	}
	if q.ContentLength > limit {
		return refuse(413, "M_TOO_LARGE", "Too large.")
	}
	b, err := io.ReadAll(io.LimitReader(q.Body, limit+1))
	if err != nil {
		return refuse(400, "M_UNKNOWN", "The body ended early.")
	}
	if int64(len(b)) > limit {
		return refuse(413, "M_TOO_LARGE", "Too large.")
	}
	q.body = b
	return nil
}

func (q *request) authenticate(open bool) error {
	token, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	if !ok {
		token = q.URL.Query().Get("access_token")
	}
	d := q.s.tokens[token]
	switch {
	case token == "" && open, d == nil && open:
		return nil
	case token == "":
		return refuse(401, "M_MISSING_TOKEN", "Missing access token.")
	case d == nil:
		return refuse(401, "M_UNKNOWN_TOKEN", "Unknown access token.")
	}
	if d.soft || !d.until.IsZero() && time.Now().After(d.until) {
		if open {
			return nil
		}
		return &Error{Status: 401, Code: "M_UNKNOWN_TOKEN", Text: "The access token has expired.", Soft: true}
	}
	q.dev, q.user, d.seen = d, d.user, q.s.cfg.Now()
	return nil
}

func (q *request) handle(r route) (*answer, error) {
	if !r.unlocked {
		q.s.mu.Lock()
		defer q.s.mu.Unlock()
	}
	v, err := r.handle(q)
	if err != nil {
		return nil, err
	}
	if a, ok := v.(*answer); ok {
		return a, nil
	}
	return raw(encode(v)), nil
}

func failure(err error) *answer {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Status: 500, Code: "M_UNKNOWN", Text: err.Error()}
	}
	a := raw(encode(e.body()))
	a.status = e.Status
	if e.location != "" {
		a.header = http.Header{"Location": {e.location}}
	}
	if e.Status == 429 {
		a.header = http.Header{"Retry-After": {strconv.Itoa(int((e.RetryAfter + time.Second - 1) / time.Second))}}
	}
	return a
}

// decode reads the body, which must be a JSON object.
func (q *request) decode(v any) error {
	if !json.Valid(q.body) {
		return refuse(400, "M_NOT_JSON", "Content not JSON.")
	}
	if err := json.Unmarshal(q.body, v); err != nil {
		return refuse(400, "M_BAD_JSON", "Content does not fit.")
	}
	return nil
}

// number reads a parameter of the query.
func (q *request) number(name string, def, most int) (int, error) {
	v := q.URL.Query().Get(name)
	if v == "" {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, refuse(400, "M_INVALID_PARAM", "Query parameter "+name+" must be a number.")
	}
	return min(n, most), nil
}

func (q *request) query(name string) string { return q.URL.Query().Get(name) }

// room is the room of the path, which the user must know.
func (q *request) room() (*Room, error) {
	r := q.s.rooms[q.PathValue("room")]
	if r == nil {
		return nil, forbidden("User " + q.user.ID + " not in room " + q.PathValue("room"))
	}
	return r, nil
}

// inRoom is the room of the path, which the user must be in.
func (q *request) inRoom() (*Room, error) {
	r, err := q.room()
	if err == nil && r.membership(q.user.ID) != "join" {
		err = forbidden("User " + q.user.ID + " not in room " + r.ID)
	}
	return r, err
}

// reader is the room of the path, which the user must be or have been in.
func (q *request) reader() (*Room, error) {
	r, err := q.room()
	if err != nil {
		return nil, err
	}
	for m := r.members[q.user.ID]; m != nil; m = m.was {
		if m.membership() == "join" {
			return r, nil
		}
	}
	if r.visibility() == "world_readable" {
		return r, nil
	}
	return nil, forbidden("User " + q.user.ID + " not in room " + r.ID)
}
