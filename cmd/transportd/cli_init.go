package main

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"transportd/config"
)

//go:embed init.toml.tmpl
var configTemplate string

//go:embed init.txt.tmpl
var nextStepsTemplate string

// initFlags are what init was asked for.
type initFlags struct {
	shared   *sharedFlags
	domain   string
	server   string
	allow    []string
	admins   []string
	name     string
	driver   string
	networks []string

	homeservers []string

	open  bool
	state string
	owner string
}

// titles are the kinds of network for people.
var titles = map[string]string{"irc": "IRC", "matrix": "Matrix"}

// network is one the config will list.
type network struct{ Name, Host string }

// initValues fill the templates.
type initValues struct {
	File, SecretFile, SecretName string
	Name, Domain, Server, Secret string
	ListenIP, ServerPort         string // where the XMPP server should listen
	Allow, Admins                []string
	Driver, Title                string    // the kind of network, and its name for people
	Networks                     []network // of IRC
	Homeservers                  []string  // of Matrix
	Open                         bool
	State                        string
}

func newInitCommand(f *sharedFlags) *cobra.Command {
	in := &initFlags{shared: f}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a commented config and a secret",
		Long: `Init writes a config with every setting explained, and beside it a random
secret, both with mode 0600, makes the folder of the database, and prints what
the XMPP server needs to know of the component: a snippet for Prosody and for
ejabberd, hints for others. Nothing that exists is overwritten. It asks no
questions.

Only users of the domain above the gateway's are let in (example.org for
irc.example.org) unless --allow names others; "*" lets in everybody on the
whole federation.`,
		Example: `  transportd init --domain irc.example.org
  transportd init --domain irc.example.org --allow example.org --allow example.net \
      --network libera=irc.libera.chat --admin me@example.org --owner transportd
  transportd init --domain matrix.example.org --driver matrix --homeserver matrix.org \
      --config /etc/transportd/matrix.toml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return in.run(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&in.domain, "domain", "", "the component's `domain`, as irc.example.org; required")
	flags.StringVar(&in.server, "server", config.DefaultGateway().Server, "`host:port` where the XMPP server expects components")
	flags.StringArrayVar(&in.allow, "allow", nil, "`who` may use it: a domain, *.domain, user@domain or *; may be repeated")
	flags.StringArrayVar(&in.admins, "admin", nil, "`who` may run admin commands, written as for --allow; may be repeated")
	flags.StringVar(&in.driver, "driver", "irc", "the kind of `network`: "+strings.Join(driverNames(), " or "))
	flags.StringVar(&in.name, "name", "", "short `name` of the gateway for logs and variables (default the driver's)")
	flags.StringArrayVar(&in.homeservers, "homeserver", nil, "a Matrix `server` whose accounts may be used, with * for anything; may be repeated (default \"*\")")
	flags.StringArrayVar(&in.networks, "network", nil, "an IRC network as `name=host`; may be repeated (default libera and oftc)")
	flags.BoolVar(&in.open, "open", false, "let users name any other IRC server too")
	flags.StringVar(&in.state, "state", filepath.Dir(config.Default().Store.Path), "the `folder` for database and key file")
	flags.StringVar(&in.owner, "owner", "", "give the files to this `user`; needs root")
	return cmd
}

func (in *initFlags) run(out io.Writer) error {
	v, err := in.values()
	if err != nil {
		return &usageError{err}
	}
	uid, gid, err := lookupOwner(in.owner)
	if err != nil {
		return &usageError{err}
	}
	for _, path := range []string{v.File, v.SecretFile} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists already and is left as it is", path)
		}
	}
	text, err := render("config", configTemplate, v)
	if err != nil {
		return err
	}
	if err := makeState(v.State, uid, gid); err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(v.File), 0o755); err != nil {
		return err
	}
	if err := writeNew(v.SecretFile, v.Secret+"\n", uid, gid); err != nil {
		return err
	}
	if err := writeNew(v.File, text, uid, gid); err != nil {
		_ = os.Remove(v.SecretFile) // made a moment ago; half a result would block the next try
		return err
	}
	steps, err := render("steps", nextStepsTemplate, v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, steps)
	return err
}

// values checks the flags and gathers what the templates need.
func (in *initFlags) values() (*initValues, error) {
	if in.domain == "" {
		return nil, errors.New("--domain is missing: the component's domain, as irc.example.org")
	}
	domain := strings.ToLower(in.domain)
	if p, err := config.ParsePattern(domain); err != nil || strings.ContainsAny(p.String(), "*@") {
		return nil, fmt.Errorf("--domain: %q is not a domain", in.domain)
	}
	if _, known := drivers[in.driver]; !known {
		return nil, fmt.Errorf("--driver: %q is none of: %s", in.driver, strings.Join(driverNames(), ", "))
	}
	name := in.name
	if name == "" {
		name = in.driver
	}
	if problem := config.CheckName(name); problem != "" {
		return nil, errors.New("--name: " + problem)
	}
	if problem := config.CheckAddress(in.server); problem != "" {
		return nil, errors.New("--server: " + problem)
	}
	host, port, err := net.SplitHostPort(in.server)
	if err != nil {
		return nil, fmt.Errorf("--server: %w", err)
	}
	allow := in.allow
	if len(allow) == 0 {
		_, parent, ok := strings.Cut(domain, ".")
		if !ok {
			return nil, errors.New("--allow is missing: there is no domain above " + domain)
		}
		allow = []string{parent}
	}
	for _, s := range append(append([]string{}, allow...), in.admins...) {
		if _, err := config.ParsePattern(s); err != nil {
			return nil, err
		}
	}
	networks, err := parseNetworks(in.networks)
	if err != nil {
		return nil, err
	}
	homeservers := in.homeservers
	if len(homeservers) == 0 {
		homeservers = []string{"*"}
	}
	state, err := filepath.Abs(in.state)
	if err != nil {
		return nil, err
	}
	file, err := filepath.Abs(in.shared.file)
	if err != nil {
		return nil, err
	}
	v := &initValues{
		File: file, SecretName: name + ".secret", Name: name, Driver: in.driver, Title: titles[in.driver], Homeservers: homeservers, Domain: domain, Server: in.server, Secret: rand.Text(),
		ListenIP: listenIP(host), ServerPort: port, Allow: allow, Admins: in.admins, Networks: networks, Open: in.open, State: state,
	}
	v.SecretFile = filepath.Join(filepath.Dir(v.File), v.SecretName)
	return v, nil
}

// listenIP is the address an XMPP server should listen on to be reached at host:
// the loopback where that is meant, else the address, or all for a name.
func listenIP(host string) string {
	switch ip := net.ParseIP(host); {
	case ip != nil:
		return ip.String()
	case config.IsLoopback(host):
		return "127.0.0.1"
	}
	return "0.0.0.0"
}

func parseNetworks(args []string) ([]network, error) {
	if len(args) == 0 {
		return []network{{"libera", "irc.libera.chat"}, {"oftc", "irc.oftc.net"}}, nil
	}
	var out []network
	for _, arg := range args {
		name, host, ok := strings.Cut(arg, "=")
		if !ok || name == "" || host == "" {
			return nil, fmt.Errorf("--network %s: write name=host", arg)
		}
		out = append(out, network{name, host})
	}
	return out, checkNetworks(out)
}

// checkNetworks asks the driver what is wrong with networks.
func checkNetworks(networks []network) error {
	list := make([]any, len(networks))
	for i, n := range networks {
		list[i] = map[string]any{"name": n.Name, "hosts": []any{n.Host}}
	}
	if _, err := openIRC(config.NewSection(map[string]any{"networks": list}, "")); err != nil {
		return errors.New("--network: " + err.Error()) // not as the Problems of a file
	}
	return nil
}

// lookupOwner returns the ids of a user, -1 to leave files as they are.
func lookupOwner(name string) (uid, gid int, err error) {
	if name == "" {
		return -1, -1, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("--owner: there is no user %s", name)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return uid, gid, errors.Join(err1, err2)
}

// makeState makes the folder of the database, for its owner alone. One that is
// there is left as it is.
func makeState(path string, uid, gid int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil && uid >= 0 {
		err = os.Chown(path, uid, gid)
	}
	return err
}

// writeNew writes a file with mode 0600 that must not exist.
func writeNew(path, text string, uid, gid int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if uid >= 0 {
		err = errors.Join(err, f.Chown(uid, gid))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path)
	}
	return err
}

func render(name, text string, v *initValues) (string, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"quote": strconv.Quote, "list": quotedList}).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		return "", err
	}
	return b.String(), nil
}

// quotedList writes strings as a TOML array.
func quotedList(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
