package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/template"
)

// Domain is the host name of the XMPP servers: users are name@localhost.
const Domain = "localhost"

// Secret is what components authenticate with.
const Secret = "component-secret"

// XMPPOptions say what an XMPP server serves.
type XMPPOptions struct {
	Components []string // domains of external components
	Users      []string // accounts; the password is the name
	// Rooms is a domain on which Prosody has chat rooms of its own, with an archive;
	// empty: none. What a client shows in them tells its faults from a gateway's.
	Rooms string
	// Privileged are the components that Prosody lets act for its users (XEP-0356):
	// read and write their rosters, send messages from them, see their presence, and
	// ask their personal eventing service (XEP-0163) as they would.
	Privileged []string
	// Upload is the largest file, in bytes, that UploadDomain takes (XEP-0363), over HTTP
	// without TLS and from components too; 0: there is no such service.
	Upload int
}

// UploadDomain is where the XMPP servers keep files.
const UploadDomain = "upload." + Domain

// XMPPServer is a running Prosody or ejabberd.
type XMPPServer struct {
	*Server
	C2S       int // port for clients, STARTTLS offered and not required
	Component int // port for components (XEP-0114)
	HTTP      int // port for websockets, at /xmpp-websocket; Prosody only

	addUser func(ctx context.Context, name string) error
	mu      sync.Mutex
	users   []string
}

// AddUsers makes accounts; the password is the name. Existing ones stay.
func (s *XMPPServer) AddUsers(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := s.addUser(ctx, name); err != nil {
			return fmt.Errorf("%s: adding the account %s: %w", s.Name, name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = append(s.users, names...)
	return nil
}

// Start starts a stopped server again, with the accounts it had.
func (s *XMPPServer) Start(ctx context.Context) error {
	if err := s.Server.Start(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	users := s.users
	s.users = nil
	s.mu.Unlock()
	return s.AddUsers(ctx, users...)
}

// Restart kills the server and starts it again.
func (s *XMPPServer) Restart(ctx context.Context) error {
	s.Kill9()
	return s.Start(ctx)
}

// xmppConfig is what the configuration templates are filled from.
type xmppConfig struct {
	Dir, Host, Domain, Secret, Cert, Key string
	C2S, Component, HTTP                 int
	Components                           []string
	Rooms                                string
	Privileged                           []string
	Upload                               int
	UploadDomain                         string
}

// render fills a configuration template into dir/name.
func (e *Env) render(tmpl, dir, name string, data any) (string, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"has": slices.Contains[[]string]}).Parse(tmpl)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := t.Execute(&text, data); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	return path, e.write(path, text.String(), 0o600)
}

// StartProsody starts a Prosody and waits until it listens.
func (e *Env) StartProsody(ctx context.Context, o XMPPOptions) (*XMPPServer, error) {
	bin, err := program("prosody", "prosody")
	if err != nil {
		return nil, err
	}
	s := &XMPPServer{}
	s.Server, err = e.launch(ctx, "prosody", 3, func(dir string, ports []int) (func() *exec.Cmd, error) {
		cert, key, err := e.certificate(dir, Domain)
		if err != nil {
			return nil, err
		}
		conf, err := e.render(prosodyConfig, dir, "prosody.cfg.lua", xmppConfig{
			Dir: dir, Host: Host, Domain: Domain, Secret: Secret, Cert: cert, Key: key,
			C2S: ports[0], Component: ports[1], HTTP: ports[2], Components: o.Components, Rooms: o.Rooms,
			Privileged: o.Privileged, Upload: o.Upload, UploadDomain: UploadDomain,
		})
		return func() *exec.Cmd { return exec.Command(bin, "-F", "--config", conf) }, err
	})
	if err != nil {
		return nil, err
	}
	s.C2S, s.Component, s.HTTP = s.ports[0], s.ports[1], s.ports[2]
	accounts := filepath.Join(s.dir, "data", Domain, "accounts")
	s.addUser = func(_ context.Context, name string) error {
		for dir := s.dir; dir != accounts; {
			next, _, _ := strings.Cut(strings.TrimPrefix(accounts, dir+"/"), "/")
			dir = filepath.Join(dir, next)
			if err := e.mkdir(dir); err != nil {
				return err
			}
		}
		return e.write(filepath.Join(accounts, name+".dat"), fmt.Sprintf("return { [\"password\"] = %q; };\n", name), 0o600)
	}
	return s, s.AddUsers(ctx, o.Users...)
}

// Accounts keep plain passwords, which makes logins quick; a component that
// connects twice is refused, as shipped.
const prosodyConfig = `data_path = "{{.Dir}}/data"
log = { { levels = { min = "info" }, to = "console" } }
interfaces = { "{{.Host}}" }
local_interfaces = { "{{.Host}}" }
component_interfaces = { "{{.Host}}" }
c2s_ports = { {{.C2S}} }
component_ports = { {{.Component}} }
network_settings = { nagle = false }  -- else small packets wait 40 ms for an acknowledgement
http_ports = { {{.HTTP}} }
http_interfaces = { "{{.Host}}" }
http_default_host = "{{.Domain}}"
https_ports = { }
consider_websocket_secure = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
modules_disabled = { "s2s" }  -- nothing leaves this machine
modules_enabled = { "roster"; "saslauth"; "tls"; "disco"; "pep"; "private"; "blocklist";
  "carbons"; "mam"; "version"; "time"; "ping"; "register"; "vcard_legacy"; "bookmarks"; "websocket" }
authentication = "internal_plain"
storage = "internal"
certificates = "{{.Dir}}"
ssl = { certificate = "{{.Cert}}"; key = "{{.Key}}" }
{{if .Privileged}}plugin_paths = { "/usr/lib/prosody/modules" }  -- Debian's prosody-modules
{{end}}
VirtualHost "{{.Domain}}"
  disco_items = { {{range .Components}}{ "{{.}}" }, {{end}} }
{{- if .Privileged}}
  modules_enabled = { "privilege" }
  privileged_entities = { {{range .Privileged}}
    ["{{.}}"] = { roster = "both"; message = "outgoing"; presence = "managed_entity";
      iq = { ["http://jabber.org/protocol/pubsub"] = "both" } };{{end}}
  }
{{- end}}
{{range .Components}}
Component "{{.}}"
  component_secret = "{{$.Secret}}"
{{- if has $.Privileged .}}
  modules_enabled = { "privilege" }
{{- end}}
{{end}}
{{- if .Upload}}
Component "{{.UploadDomain}}" "http_file_share"
  http_host = "{{.Host}}"
  http_file_share_size_limit = {{.Upload}}
{{end}}
{{- if .Rooms}}
Component "{{.Rooms}}" "muc"
  modules_enabled = { "muc_mam" }
{{end}}`

// StartEjabberd starts an ejabberd and waits until it listens. It has no node
// name, so that neither epmd nor a port for Erlang's distribution is needed; its
// HTTP interface, on loopback, makes accounts.
func (e *Env) StartEjabberd(ctx context.Context, o XMPPOptions) (*XMPPServer, error) {
	erl, err := program("erl", "ejabberd")
	if err != nil {
		return nil, err
	}
	ebin, err := filepath.Glob("/usr/lib/*/ejabberd-*/ebin/ejabberd.app")
	if err != nil || len(ebin) == 0 {
		return nil, fmt.Errorf("ejabberd is missing: run scripts/install-deps.sh test, or install the Debian package ejabberd")
	}
	libs := filepath.Dir(filepath.Dir(filepath.Dir(ebin[0])))
	s := &XMPPServer{}
	s.Server, err = e.launch(ctx, "ejabberd", 3, func(dir string, ports []int) (func() *exec.Cmd, error) {
		cert, key, err := e.certificate(dir, Domain)
		if err != nil {
			return nil, err
		}
		conf, err := e.render(ejabberdConfig, dir, "ejabberd.yml", xmppConfig{
			Dir: dir, Host: Host, Domain: Domain, Secret: Secret, Cert: cert, Key: key,
			C2S: ports[0], Component: ports[1], HTTP: ports[2], Components: o.Components,
			Upload: o.Upload, UploadDomain: UploadDomain,
		})
		return func() *exec.Cmd {
			// +sbwt none: its schedulers must not spin on a machine that others use.
			cmd := exec.Command(erl, "+sbwt", "none", "-noinput", "-mnesia", "dir", fmt.Sprintf("%q", dir+"/spool"), "-s", "ejabberd")
			cmd.Env = append(cmd.Environ(), "ERL_LIBS="+libs, "EJABBERD_CONFIG_PATH="+conf,
				"EJABBERD_LOG_PATH="+dir+"/ejabberd.log", "ERL_CRASH_DUMP_SECONDS=0")
			return cmd
		}, err
	})
	if err != nil {
		return nil, err
	}
	s.C2S, s.Component = s.ports[0], s.ports[1]
	api := "http://" + Address(s.ports[2]) + "/api/register"
	s.addUser = func(ctx context.Context, name string) error { return ejabberdRegister(ctx, api, name) }
	return s, s.AddUsers(ctx, o.Users...)
}

func ejabberdRegister(ctx context.Context, url, name string) error {
	body, err := json.Marshal(map[string]string{"user": name, "host": Domain, "password": name})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusConflict {
		return err // a conflict: it exists
	}
	return fmt.Errorf("%s: %s", resp.Status, text)
}

// global_routes is off: with it, one component's login claims every domain.
const ejabberdConfig = `hosts: ["{{.Domain}}"]
loglevel: info
log_rotate_count: 0
certfiles: ["{{.Cert}}", "{{.Key}}"]
auth_password_format: plain
s2s_access: none   # nothing leaves this machine
acl:
  loopback: { ip: [127.0.0.0/8] }
access_rules:
  loopback: { allow: loopback }
api_permissions:
  tests: { who: { access: { allow: loopback } }, what: "*" }
listen:
  - { port: {{.C2S}}, ip: "{{.Host}}", module: ejabberd_c2s, access: all, starttls: true, max_stanza_size: 262144 }
  - port: {{.Component}}
    ip: "{{.Host}}"
    module: ejabberd_service
    access: all
    global_routes: false
    hosts:
{{- range .Components}}
      "{{.}}": { password: "{{$.Secret}}" }
{{- end}}
  - { port: {{.HTTP}}, ip: "{{.Host}}", module: ejabberd_http, request_handlers: { /api: mod_http_api{{if .Upload}}, /upload: mod_http_upload{{end}} } }
modules:
  mod_adhoc: {}
  mod_admin_extra: {}
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_disco: {}
  mod_http_api: {}
{{- if .Upload}}
  mod_http_upload: { host: "{{.UploadDomain}}", put_url: "http://{{.Host}}:{{.HTTP}}/upload", docroot: "{{.Dir}}/upload", access: all, max_size: {{.Upload}} }
{{- end}}
  mod_last: {}
  mod_mam: { default: always }
  mod_offline: {}
  mod_ping: {}
  mod_privacy: {}
  mod_private: {}
  mod_pubsub: { plugins: [flat, pep] }
  mod_roster: {}
  mod_stream_mgmt: {}
  mod_time: {}
  mod_vcard: {}
  mod_version: {}
`
