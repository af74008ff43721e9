package matrixtest

import (
	"bytes"
	"image"
	_ "image/gif" // what thumbnails are made of
	"image/jpeg"
	"image/png"
	"mime"
	"net/http"
	"strings"
)

// Media is a stored file.
type Media struct {
	URI  string // "mxc://hs.test/…"
	Name string
	Type string
	By   string // user id
	Data []byte

	made bool // it has an id and waits for its content
}

func (s *Server) mediaRoutes() []route {
	const old, at = "/_matrix/media/v3/", v1 + "media/"
	gone := func(*request) (any, error) { return nil, notFound("Media is not to be had without a login.") }
	return []route{
		{method: "POST", path: old + "upload", handle: s.upload, media: true},
		{method: "PUT", path: old + "upload/{server}/{media}", handle: s.uploadTo, media: true},
		{method: "POST", path: "/_matrix/media/v1/create", handle: s.createMedia},
		{method: "GET", path: old + "config", handle: s.mediaConfig},
		{method: "GET", path: at + "config", handle: s.mediaConfig},
		{method: "GET", path: at + "download/{server}/{media}", handle: s.download},
		{method: "GET", path: at + "download/{server}/{media}/{name}", handle: s.download},
		{method: "GET", path: at + "thumbnail/{server}/{media}", handle: s.thumbnail},
		{method: "GET", path: old + "download/{server}/{media}", handle: gone, open: true},
		{method: "GET", path: old + "thumbnail/{server}/{media}", handle: gone, open: true},
	}
}

// Media returns a stored file by its mxc URI, nil: none.
func (s *Server) Media(uri string) *Media {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.media[uri]
}

// Upload stores a file, at the user's server.
func (u *User) Upload(name, typ string, data []byte) *Media {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.s.keep(&Media{Name: name, Type: typ, By: u.ID, Data: data})
}

func (s *Server) keep(m *Media) *Media {
	if m.URI == "" {
		_, server, _ := strings.Cut(m.By, ":")
		m.URI = "mxc://" + server + "/" + strings.NewReplacer("-", "x", "_", "y").Replace(s.hash()[:24])
	}
	s.media[m.URI] = m
	s.notify()
	return m
}

func (q *request) file() *Media {
	m := &Media{Name: q.query("filename"), Type: q.Header.Get("Content-Type"), By: q.user.ID, Data: q.body}
	orDefault(&m.Type, "application/octet-stream")
	return m
}

func (s *Server) upload(q *request) (any, error) {
	return object{"content_uri": s.keep(q.file()).URI}, nil
}

func (s *Server) createMedia(q *request) (any, error) {
	m := s.keep(&Media{By: q.user.ID, made: true})
	return object{"content_uri": m.URI, "unused_expires_at": s.cfg.Now().UnixMilli() + 3600_000}, nil
}

func (q *request) mediaURI() string {
	return "mxc://" + q.PathValue("server") + "/" + q.PathValue("media")
}

func (s *Server) uploadTo(q *request) (any, error) {
	m := s.media[q.mediaURI()]
	switch {
	case m == nil || m.By != q.user.ID:
		return nil, forbidden("No such media of yours.")
	case !m.made:
		return nil, refuse(409, "M_CANNOT_OVERWRITE_MEDIA", "Media ID already has content.")
	}
	f := q.file()
	f.URI = m.URI
	s.keep(f)
	return object{}, nil
}

func (s *Server) mediaConfig(*request) (any, error) {
	return object{"m.upload.size": s.cfg.MaxUpload}, nil
}

func (q *request) media() (*Media, error) {
	m := q.s.media[q.mediaURI()]
	if m == nil {
		return nil, notFound("Media not found.")
	}
	if m.made {
		return nil, refuse(504, "M_NOT_YET_UPLOADED", "Content has not yet been uploaded.")
	}
	return m, nil
}

func (s *Server) download(q *request) (any, error) {
	m, err := q.media()
	if err != nil {
		return nil, err
	}
	name := q.PathValue("name")
	orDefault(&name, m.Name)
	h := http.Header{"Content-Disposition": {"attachment"}}
	if name != "" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	}
	return &answer{status: 200, typ: m.Type, header: h, body: m.Data}, nil
}

func (s *Server) thumbnail(q *request) (any, error) {
	m, err := q.media()
	if err != nil {
		return nil, err
	}
	width, err := q.number("width", 0, 2000)
	if err != nil {
		return nil, err
	}
	height, err := q.number("height", 0, 2000)
	if err != nil {
		return nil, err
	}
	if width == 0 || height == 0 {
		return nil, refuse(400, "M_MISSING_PARAM", "width and height are needed.")
	}
	pic, format, err := image.Decode(bytes.NewReader(m.Data))
	if err != nil {
		return nil, refuse(400, "M_UNKNOWN", "Cannot generate thumbnails for the requested content")
	}
	var b bytes.Buffer
	small := scale(pic, width, height)
	if format == "jpeg" {
		err = jpeg.Encode(&b, small, nil)
	} else {
		format, err = "png", png.Encode(&b, small)
	}
	if err != nil {
		return nil, err
	}
	return &answer{status: 200, typ: "image/" + format, body: b.Bytes()}, nil
}

// scale makes a picture fit into a size, and never bigger.
func scale(pic image.Image, width, height int) image.Image {
	at := pic.Bounds()
	w, h := at.Dx(), at.Dy()
	if w <= width && h <= height {
		return pic
	}
	if w*height > h*width {
		height = max(1, h*width/w)
	} else {
		width = max(1, w*height/h)
	}
	small := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			small.Set(x, y, pic.At(at.Min.X+x*w/width, at.Min.Y+y*h/height))
		}
	}
	return small
}
