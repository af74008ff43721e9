package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/viper"
)

// envPrefix begins the name of every variable that is a setting.
const envPrefix = "TRANSPORTD_"

// Options say where settings come from.
type Options struct {
	File    string            // TOML
	Set     map[string]string // from flags, by key: "log.level", "gateways.irc.server"
	Drivers []string          // the kinds of driver there are
}

// Load reads the file, the environment and Options.Set. With an error, which is
// a Problems and holds everything that is wrong, the Config has what could be
// read, so that a caller can go on looking for mistakes.
func Load(o Options) (Config, error) {
	c := Default()
	c.options = o
	d := &decoder{file: o.File, dir: filepath.Dir(o.File)}
	if abs, err := filepath.Abs(d.dir); err == nil {
		d.dir = abs
	}
	v := viper.NewWithOptions(viper.KeyDelimiter("."))
	if !d.readFile(v) {
		return c, d.problems.err()
	}
	raw, list := d.settings(v, o)
	d.decode(raw, &c, "")
	c.Gateways = make([]Gateway, len(list))
	for i, entry := range list {
		c.Gateways[i] = d.gateway(entry, i, o.Drivers)
	}
	d.checkConfig(&c)
	return c, d.problems.err()
}

// Again loads the configuration once more from where it came.
func (c *Config) Again() (Config, error) {
	if c.options.File == "" {
		return Config{}, errors.New("the configuration was not read from a file")
	}
	return Load(c.options)
}

// File is the file the configuration was read from, empty when it was not.
func (c *Config) File() string { return c.options.File }

// readFile hands the file to viper.
func (d *decoder) readFile(v *viper.Viper) bool {
	data, err := os.ReadFile(d.file)
	if err != nil {
		d.add("", "cannot be read: %s", plainFileError(err))
		return false
	}
	v.SetConfigType("toml")
	if err := v.ReadConfig(bytes.NewReader(data)); err != nil {
		where := ""
		var at interface{ Position() (row, column int) }
		if errors.As(err, &at) {
			row, column := at.Position()
			where = fmt.Sprintf("line %d, column %d: ", row, column)
		}
		d.add("", "%sis not TOML: %s", where, tomlReason(err))
		return false
	}
	return true
}

// tomlReason leaves out the names of libraries before the reason.
func tomlReason(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return strings.TrimPrefix(err.Error(), "toml: ")
}

// settings returns the top of the tree without the gateways, and these as a
// list, with environment and flags laid over both.
func (d *decoder) settings(v *viper.Viper, o Options) (raw map[string]any, list []map[string]any) {
	top := settable(reflect.TypeFor[Config]())
	delete(top, "gateways")
	for key := range top {
		_ = v.BindEnv(key, envName(key)) // fails only without a key
	}
	for key, value := range o.Set {
		if t, ok := top[key]; ok {
			v.Set(key, coerce(value, t))
		}
	}
	raw = v.AllSettings()
	for key, t := range top {
		if _, ok := o.Set[key]; !ok && os.Getenv(envName(key)) != "" {
			put(raw, key, coerce(os.Getenv(envName(key)), t))
		}
	}
	list = d.gatewayList(raw["gateways"])
	delete(raw, "gateways")
	d.overlay(top, list, o.Set)
	return raw, list
}

// gatewayList checks that gateways is a list of tables.
func (d *decoder) gatewayList(v any) []map[string]any {
	if v == nil {
		return nil
	}
	items, ok := v.([]any)
	if !ok {
		d.add("gateways", "must be a list of tables: write [[gateways]]")
		return nil
	}
	var list []map[string]any
	for i, item := range items {
		table, ok := item.(map[string]any)
		if !ok {
			d.add(fmt.Sprintf("gateways[%d]", i), "must be a table: write [[gateways]]")
			continue
		}
		list = append(list, table)
	}
	return list
}

// overlay puts environment and flags over the gateways, and reports variables
// and flags that are no key.
func (d *decoder) overlay(top map[string]reflect.Type, list []map[string]any, set map[string]string) {
	keys := map[string]func(source, text string){} // "gateways.irc.server"
	for key := range top {
		keys[key] = func(source, _ string) { d.setBy(source, key) } // the value is there already
	}
	perGateway := settable(reflect.TypeFor[Gateway]())
	delete(perGateway, "name")
	for _, entry := range list {
		name, _ := entry["name"].(string)
		for key, t := range perGateway {
			keys["gateways."+name+"."+key] = func(source, text string) {
				put(entry, key, coerce(text, t))
				d.setBy(source, "gateways["+name+"]."+key)
			}
		}
	}
	byEnv := make(map[string]string, len(keys))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if other, twice := byEnv[envName(key)]; twice && os.Getenv(envName(key)) != "" {
			d.problems = append(d.problems, Problem{Key: envName(key), Text: fmt.Sprintf("could mean %s or %s, rename a gateway", other, key)})
		}
		byEnv[envName(key)] = key
	}
	for _, pair := range os.Environ() {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || text == "" || foreignVariable(name) {
			continue
		}
		key, ok := byEnv[name]
		if !ok {
			d.problems = append(d.problems, Problem{Key: name,
				Text: "unknown environment variable, " + suggestion(name, slices.Collect(maps.Keys(byEnv)))})
			continue
		}
		keys[key](name, text)
	}
	for key, text := range set {
		apply, ok := keys[key]
		if !ok {
			d.problems = append(d.problems, Problem{Key: "--set " + key,
				Text: "unknown key, " + suggestion(key, slices.Collect(maps.Keys(keys)))})
			continue
		}
		apply("--set "+key, text)
	}
}

// foreignVariable tells whether a variable is none of ours despite its name:
// TRANSPORTD_CONFIG is read before the file, and Kubernetes sets the others for
// every service called transportd.
func foreignVariable(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "CONFIG" || rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}

// envName is the variable that sets a key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// put sets a dotted key in a tree of tables. Where a value stands in a table's
// place it is left for the decoder to report.
func put(tree map[string]any, key string, value any) {
	table, rest, nested := strings.Cut(key, ".")
	if !nested {
		tree[key] = value
		return
	}
	sub, ok := tree[table].(map[string]any)
	if !ok {
		if tree[table] != nil {
			return
		}
		sub = map[string]any{}
		tree[table] = sub
	}
	put(sub, rest, value)
}

// gateway decodes one entry of the list.
func (d *decoder) gateway(raw map[string]any, i int, drivers []string) Gateway {
	g := DefaultGateway()
	at := fmt.Sprintf("gateways[%d]", i)
	if name, ok := raw["name"].(string); ok && name != "" {
		at = "gateways[" + name + "]"
	}
	driver, _ := raw["driver"].(string)
	section, ok := raw[driver].(map[string]any)
	var allowed []string
	switch {
	case slices.Contains(drivers, driver):
		allowed = append(allowed, driver)
	case ok: // of a driver there is not, which is told once
		raw = maps.Clone(raw)
		delete(raw, driver)
	}
	d.decode(raw, &g, at, allowed...)
	if raw[driver] != nil && !ok && driver != "" {
		d.add(join(at, driver), "must be a table: write [gateways.%s]", driver)
	}
	g.Section = Section{raw: section, key: join(at, driver), file: d.file, dir: d.dir}
	d.checkGateway(&g, at, drivers)
	return g
}

// checkGateway checks what can be said of one gateway alone.
func (d *decoder) checkGateway(g *Gateway, at string, drivers []string) {
	if problem := CheckName(g.Name); problem != "" {
		d.add(join(at, "name"), "%s", problem)
	}
	g.Domain = strings.ToLower(g.Domain)
	if !validDomain(g.Domain) {
		d.add(join(at, "domain"), "%s", orMissing(g.Domain, "is not a domain"))
	}
	if !slices.Contains(drivers, g.Driver) {
		text := "is missing, one of: " + strings.Join(drivers, ", ")
		if g.Driver != "" {
			text = fmt.Sprintf("there is no driver %q, %s", g.Driver, suggestion(g.Driver, drivers))
		}
		d.add(join(at, "driver"), "%s", text)
	}
	if problem := CheckAddress(g.Server); problem != "" {
		d.add(join(at, "server"), "%s", problem)
	}
	switch {
	case g.Secret != "" && g.SecretFile != "":
		d.add(join(at, "secret"), "is set together with secret_file, keep one")
	case g.Secret == "" && g.SecretFile == "":
		d.add(join(at, "secret"), "is missing: set secret or secret_file to what the XMPP server expects from this component")
	case g.SecretFile != "":
		if _, err := readSecretFile(g.SecretFile); err != nil {
			d.add(join(at, "secret_file"), "%s: %s", g.SecretFile, err)
		}
	}
	if g.TLS.CAFile != "" || g.TLS.Enabled {
		if _, err := g.TLSConfig(); err != nil && CheckAddress(g.Server) == "" {
			d.add(join(at, "tls.ca_file"), "%s: %s", g.TLS.CAFile, err)
		}
	}
	if len(g.Users) == 0 && !d.reported(join(at, "users")) {
		d.add(join(at, "users"), "nobody may use this gateway: name the domain of your users, or \"*\" for the whole federation")
	}
	if g.Limits.Rooms < 0 {
		d.add(join(at, "limits.rooms"), "must not be negative, 0 is no limit")
	}
}

// reported tells whether a key or something below it is known to be wrong.
func (d *decoder) reported(key string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool { return strings.HasPrefix(p.Key, key) })
}

// checkConfig checks the whole.
func (d *decoder) checkConfig(c *Config) {
	d.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	d.oneOf("log.format", c.Log.Format, "text", "json")
	d.checkStore(&c.Store)
	d.checkOps(&c.Ops)
	d.checkFiles(&c.Files)
	if len(c.Gateways) == 0 && !d.reported("gateways") {
		d.add("gateways", "there is none: write a [[gateways]] section")
	}
	names, domains := map[string]bool{}, map[string]bool{}
	for _, g := range c.Gateways {
		at := "gateways[" + g.Name + "]"
		if g.Name != "" && names[g.Name] {
			d.add(join(at, "name"), "is used twice")
		}
		if g.Domain != "" && domains[g.Domain] {
			d.add(join(at, "domain"), "%s belongs to another gateway already", g.Domain)
		}
		names[g.Name], domains[g.Domain] = true, true
	}
}

func (d *decoder) checkStore(s *Store) {
	if s.Path == "" && !s.UsesPostgres() {
		d.add("store.path", "is empty")
	}
	if s.KeyFile == "" {
		d.add("store.key_file", "is empty")
	}
	key, address := "store.postgres", s.Postgres.Reveal()
	switch {
	case s.Postgres != "" && s.PostgresFile != "":
		d.add(key, "is set together with postgres_file, keep one")
		return
	case s.PostgresFile != "":
		text, err := readSecretFile(s.PostgresFile)
		if err != nil {
			d.add("store.postgres_file", "%s: %s", s.PostgresFile, err)
			return
		}
		key, address = "store.postgres_file", strings.TrimSpace(text)
	case s.Postgres == "":
		return
	}
	// What it is must not be told: it may hold a password.
	if u, err := url.Parse(address); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		d.add(key, "is not an address of the form postgres://user@host/database")
	}
}

func (d *decoder) checkOps(o *Ops) {
	if o.Listen == "" {
		return
	}
	if problem := checkListen(o.Listen); problem != "" {
		d.add("ops.listen", "%s", problem)
		return
	}
	if host, _, _ := net.SplitHostPort(o.Listen); !IsLoopback(host) && !o.AllowRemote {
		d.add("ops.listen", "%s can be reached from other machines: use 127.0.0.1, or set ops.allow_remote = true if that is meant", o.Listen)
	}
}

func (d *decoder) checkFiles(f *Files) {
	if f.MaxSize <= 0 {
		d.add("files.max_size", "must be more than 0")
	}
	if f.UploadMax <= 0 {
		d.add("files.upload_max", "must be more than 0: upload = %q copies nothing", UploadOff)
	}
	if f.Upload != UploadAuto && f.Upload != UploadOff && !validDomain(f.Upload) {
		d.add("files.upload", "%q is neither %q nor %q nor the domain of an upload service", f.Upload, UploadAuto, UploadOff)
	}
	if f.Listen == "" {
		if f.URL != "" {
			d.add("files.listen", "is missing: url says how it is reached")
		}
		return
	}
	if problem := checkListen(f.Listen); problem != "" {
		d.add("files.listen", "%s", problem)
	}
	u, err := url.Parse(f.URL)
	switch {
	case f.URL == "":
		d.add("files.url", "is missing: how users' clients reach the listener, as in https://files.example.org")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		d.add("files.url", "%q is not an address of the form https://host/path", f.URL)
	}
}

func (d *decoder) oneOf(key, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		d.add(key, "%q is none of: %s", value, strings.Join(choices, ", "))
	}
}

// CheckAddress says what is wrong with a host:port to connect to, empty: nothing.
func CheckAddress(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || strings.ContainsAny(host, " /") {
		return fmt.Sprintf("%q is not host:port", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Sprintf("%q is not a port", port)
	}
	return ""
}

// checkListen is CheckAddress, with port 0 for a free one.
func checkListen(s string) string {
	if host, ok := strings.CutSuffix(s, ":0"); ok {
		s = host + ":1"
	}
	if strings.HasPrefix(s, ":") {
		s = "[::]" + s
	}
	return CheckAddress(s)
}

func orMissing(value, wrong string) string {
	if value == "" {
		return "is missing"
	}
	return strconv.Quote(value) + " " + wrong
}

// CheckName says what is wrong with the name of a gateway, empty: nothing.
func CheckName(s string) string {
	const wrong = "needs a short name of lower-case letters, digits and hyphens, for logs and variables"
	if s == "" || len(s) > 32 || s[0] == '-' {
		return wrong
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return wrong
		}
	}
	return ""
}
