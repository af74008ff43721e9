package testenv

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// MatrixDomain is the server name of the homeserver: users are @name:matrix.test.
const MatrixDomain = "matrix.test"

// HomeserverOptions say what a homeserver serves.
type HomeserverOptions struct {
	Users []string // accounts, of which MatrixPassword tells the password
	// MaxUpload is the size of the largest file it takes, in bytes; 0: 50 MiB.
	MaxUpload int64
}

// Homeserver is a running Dendrite, alone in the world: it does not federate.
type Homeserver struct {
	*Server
	URL    string // base of the client API, without TLS
	TLSURL string // the same with TLS; CAFile verifies the certificate

	client *http.Client
}

// MatrixPassword is the password of an account; homeservers want 8 characters.
func MatrixPassword(user string) string { return user + "-secret" }

// MatrixID is the full name of an account.
func MatrixID(user string) string { return "@" + user + ":" + MatrixDomain }

// BuildDendrite builds the homeserver, which takes two cores two minutes the first
// time, and later as long as it takes to see that Go's build cache has it.
func (e *Env) BuildDendrite(ctx context.Context) error {
	dir, err := moduleDir(ctx)
	if err != nil {
		return err
	}
	// This is the only command that keeps a linked program in the cache.
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "dendrite")
	cmd.Dir = filepath.Join(dir, "test", "dendrite")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1")
	var words bytes.Buffer
	cmd.Stderr = &words
	path, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("building dendrite: %w\n%s", err, words.String())
	}
	// Another process copies it: a program cannot be started while any process has
	// it open for writing, and one that we are just starting would have.
	built := strings.TrimSpace(string(path))
	if out, err := exec.CommandContext(ctx, "cp", built, e.dendrite()).CombinedOutput(); err != nil {
		return fmt.Errorf("copying dendrite: %w\n%s", err, out)
	}
	return errors.Join(os.Chmod(e.dendrite(), 0o755), e.give(e.dendrite()))
}

// dendrite is where BuildDendrite puts it.
func (e *Env) dendrite() string { return filepath.Join(e.dir, "dendrite") }

// dendriteSettings are what its configuration is filled from.
type dendriteSettings struct {
	Dir, Domain, URL, Key string
	MaxUpload             int64
}

// StartDendrite starts a homeserver, which BuildDendrite must have built, and waits
// until it answers.
func (e *Env) StartDendrite(ctx context.Context, o HomeserverOptions) (*Homeserver, error) {
	if o.MaxUpload == 0 {
		o.MaxUpload = 50 << 20
	}
	h := &Homeserver{client: &http.Client{}}
	var err error
	h.Server, err = e.launch(ctx, "dendrite", 2, func(dir string, ports []int) (func() *exec.Cmd, error) {
		cert, key, err := e.certificate(dir, MatrixDomain)
		if err != nil {
			return nil, err
		}
		signing, err := e.signingKey(dir)
		if err != nil {
			return nil, err
		}
		conf, err := e.render(dendriteConfig, dir, "dendrite.yaml", dendriteSettings{
			Dir: dir, Domain: MatrixDomain, URL: "https://" + Address(ports[1]), Key: signing, MaxUpload: o.MaxUpload,
		})
		return func() *exec.Cmd {
			return exec.Command(e.dendrite(), "--config", conf, "--really-enable-open-registration",
				"--http-bind-address", Address(ports[0]), "--https-bind-address", Address(ports[1]),
				"--tls-cert", cert, "--tls-key", key)
		}, err
	})
	if err != nil {
		return nil, err
	}
	h.URL, h.TLSURL = "http://"+Address(h.ports[0]), "https://"+Address(h.ports[1])
	h.Server.ready = h.answers
	if err := h.answers(ctx); err != nil {
		return nil, err
	}
	return h, h.AddUsers(ctx, o.Users...)
}

// answers waits until the API is there: it listens some time before.
func (h *Homeserver) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not within %v", startTimeout))
	defer cancel()
	return h.Process().until(ctx, "answering", func() bool {
		return h.Request(ctx, "", http.MethodGet, "/_matrix/client/versions", nil, nil) == nil
	})
}

// AddUsers makes accounts. They stay when the server is killed.
func (h *Homeserver) AddUsers(ctx context.Context, names ...string) error {
	for _, name := range names {
		err := h.Request(ctx, "", http.MethodPost, "/_matrix/client/v3/register", map[string]any{
			"username": name, "password": MatrixPassword(name), "inhibit_login": true,
			"auth": map[string]any{"type": "m.login.dummy"},
		}, nil)
		if err != nil {
			return fmt.Errorf("%s: adding the account %s: %w", h.Name, name, err)
		}
	}
	return nil
}

// Request asks the client API as the owner of an access token, "" for nobody, and
// reads the answer into answer, a pointer, unless that is nil. body is nil or what
// becomes the JSON of the request.
func (h *Homeserver) Request(ctx context.Context, token, method, path string, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+Address(h.ports[0])+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	told, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, told)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(told, answer)
}

// TLSClient is an HTTP client that trusts the servers of the environment.
func (e *Env) TLSClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(e.ca.cert)
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

// signingKey makes what the homeserver signs events with.
func (e *Env) signingKey(dir string) (string, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "signing.pem")
	return path, e.write(path, string(pem.EncodeToMemory(&pem.Block{
		Type:    "MATRIX PRIVATE KEY",
		Headers: map[string]string{"Key-ID": "ed25519:test"},
		Bytes:   private.Seed(),
	})), 0o600)
}

// Rates are off, so that no scenario waits for another, and passwords are hashed
// quickly. Its databases are of SQLite.
const dendriteConfig = `version: 2
global:
  server_name: {{.Domain}}
  private_key: {{.Key}}
  well_known_client_name: "{{.URL}}"
  disable_federation: true
  trusted_third_party_id_servers: []
  presence: { enable_inbound: true, enable_outbound: true }
  report_stats: { enabled: false }
  jetstream: { storage_path: "{{.Dir}}/jetstream" }
  cache: { max_size_estimated: 64mb, max_age: 1h }
client_api:
  registration_disabled: false
  guests_disabled: true
  rate_limiting: { enabled: false }
federation_api: { database: { connection_string: "file:{{.Dir}}/federationapi.db" } }
key_server: { database: { connection_string: "file:{{.Dir}}/keyserver.db" } }
relay_api: { database: { connection_string: "file:{{.Dir}}/relayapi.db" } }
room_server: { database: { connection_string: "file:{{.Dir}}/roomserver.db" } }
media_api:
  database: { connection_string: "file:{{.Dir}}/mediaapi.db" }
  base_path: "{{.Dir}}/media"
  max_file_size_bytes: {{.MaxUpload}}
  dynamic_thumbnails: true
mscs: { database: { connection_string: "file:{{.Dir}}/mscs.db" }, mscs: [] }
sync_api:
  database: { connection_string: "file:{{.Dir}}/syncapi.db" }
  search: { enabled: false }
user_api:
  bcrypt_cost: 4
  account_database: { connection_string: "file:{{.Dir}}/userapi.db" }
logging: [ { type: std, level: warn } ]
`
