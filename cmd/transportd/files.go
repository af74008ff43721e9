package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"

	"transportd/bridges"
	"transportd/component"
	"transportd/config"
	"transportd/internal/files"
	"transportd/internal/picture"
	"transportd/session"
	"transportd/store"
)

// filesService hands files over for all gateways.
type filesService struct {
	pictures session.Pictures // nil: none are shown
	server   *files.Server    // nil: no listener
	fetcher  *files.Fetcher
	cfg      *config.Files
	log      *slog.Logger
}

func newFiles(c *config.Files, log *slog.Logger) *filesService {
	s := &filesService{fetcher: files.NewFetcher(int64(c.MaxSize), c.AllowPrivate), cfg: c, log: log}
	if c.Avatars {
		s.pictures = picture.Clean
	}
	if c.Listen != "" {
		s.server = &files.Server{Addr: c.Listen, URL: strings.TrimRight(c.URL, "/"), MaxSize: int64(c.MaxSize), Log: log}
	}
	return s
}

// start opens the listener, if there is one, and serves it until ctx is done.
func (s *filesService) start(ctx context.Context, background *sync.WaitGroup) error {
	if s.server == nil {
		return nil
	}
	if err := s.server.Listen(ctx); err != nil {
		return err
	}
	s.log.Info("files of networks", "address", s.server.ListenAddr(), "url", s.server.URL)
	background.Go(func() {
		if err := s.server.Run(ctx); err != nil {
			s.log.Error("files can no longer be read", "err", err)
		}
	})
	return nil
}

// serve makes the files of a gateway readable.
func (s *filesService) serve(ctx context.Context, g *gateway, db *store.DB) (*gatewayFiles, error) {
	domain := g.stream.Domain().Domain
	if s.server != nil {
		key, err := db.GatewayKey(ctx, domain, "files")
		if err != nil {
			return nil, err
		}
		s.server.Serve(domain, key, g.openMedia)
	}
	f := &gatewayFiles{filesService: s, domain: domain}
	if s.cfg.Upload != config.UploadOff {
		slots := &uploadSlots{stream: g.stream, domain: g.stream.Domain()}
		if s.cfg.Upload != config.UploadAuto {
			slots.named = component.JID{Domain: s.cfg.Upload}
		}
		trusted := s.cfg.AllowPrivate || s.cfg.Upload != config.UploadAuto
		f.uploader = files.NewUploader(slots, int64(s.cfg.UploadMax), trusted, g.log)
		f.copies = component.NewWorkers(copyCount, copyQueue, g.log)
	}
	return f, nil
}

// Bounds of the files that are copied to the XMPP server at once, and of those that
// wait for it, for one gateway.
const (
	copyCount = 4
	copyQueue = 64
)

// openMedia reads a file through the account of whom the link was made for.
func (g *gateway) openMedia(ctx context.Context, t files.Target) (*bridges.Media, error) {
	user, err := component.ParseJID(t.User)
	if err != nil {
		return nil, bridges.NewError(bridges.NotFound, "There is no such file.")
	}
	return g.sessions.OpenMedia(ctx, user, bridges.NetworkID(t.Network), t.Ref)
}

// gatewayFiles are the files of one gateway.
type gatewayFiles struct {
	*filesService
	domain   string
	uploader *files.Uploader    // nil: nothing is copied
	copies   *component.Workers // who copy
}

// run works until ctx is done.
func (f *gatewayFiles) run(ctx context.Context) error {
	if f.copies == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.copies.Run(ctx)
}

// Copy implements session.Files.
func (f *gatewayFiles) Copy(ctx context.Context, user component.JID, file *bridges.File, open session.OpenFile, then func(string, error)) bool {
	if f.uploader == nil || file.Encrypted && !f.cfg.UploadEncrypted {
		return false
	}
	return f.copies.Go(user, "", func(ending context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(ending, cancel)()
		then(f.uploader.Put(ctx, file, open))
	})
}

// Link implements session.Files.
func (f *gatewayFiles) Link(user string, network bridges.NetworkID, file *bridges.File) string {
	if f.server == nil {
		return ""
	}
	return f.server.Link(files.Target{Gateway: f.domain, User: user, Network: string(network), Ref: file.Ref, Type: file.Type}, file.Name)
}

// Upload implements session.Files.
func (f *gatewayFiles) Upload(address, name, typ string, size int64) *bridges.Upload {
	if !files.Fetchable(address) {
		return nil
	}
	u := f.fetcher.Upload(address, name, typ, size)
	if u.Size <= picture.MaxInput {
		u.Thumbnail = func(ctx context.Context) (*bridges.SmallPicture, error) {
			in, err := u.Open(ctx)
			if err != nil {
				return nil, err
			}
			defer func() { _ = in.Close() }()
			data, typ, size, err := picture.Thumbnail(ctx, in)
			if errors.Is(err, picture.ErrSmall) {
				return nil, nil
			}
			return &bridges.SmallPicture{Data: data, Type: typ, Width: size.X, Height: size.Y}, err
		}
	}
	return u
}
