package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// write puts a config and a secret into a fresh folder and returns the file.
func write(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "transportd.toml")
	for path, data := range map[string]string{file: text, filepath.Join(dir, "irc.secret"): "s3cret\n"} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func options(file string) Options { return Options{File: file, Drivers: []string{"irc", "matrix"}} }

const minimal = `
[[gateways]]
name = "irc"
domain = "IRC.example.org"
driver = "irc"
secret_file = "irc.secret"
users = ["example.org"]
`

func TestMinimalConfigGetsTheDefaults(t *testing.T) {
	file := write(t, minimal)
	c, err := Load(options(file))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	if c.Log != want.Log || c.Store != want.Store || c.Ops != want.Ops {
		t.Errorf("got %+v", c)
	}
	g, def := c.Gateways[0], DefaultGateway()
	if g.Domain != "irc.example.org" || g.Server != def.Server || g.Rates != def.Rates || g.Limits != def.Limits {
		t.Errorf("got %+v", g)
	}
	if g.SecretFile != filepath.Join(filepath.Dir(file), "irc.secret") {
		t.Errorf("secret_file is meant from %s", g.SecretFile)
	}
	if s, err := g.ReadSecret(); err != nil || s != "s3cret" {
		t.Errorf("secret %q, %v", s, err)
	}
	// A changed file is used at the next connection.
	if err := os.WriteFile(g.SecretFile, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := g.ReadSecret(); err != nil || s != "new" {
		t.Errorf("secret %q, %v", s, err)
	}
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("warnings %q", w)
	}
	if c.File() != file {
		t.Errorf("file %q", c.File())
	}
}

func TestEverythingSet(t *testing.T) {
	c, err := Load(options(write(t, `
[log]
level = "debug"
format = "json"
[store]
path = "sub/x.db"
key_file = "/y.key"
[archive]
record = false
persistent = true
max_age = "90d"
max_size = "2GiB"
[ops]
listen = "[::1]:0"
profile = true
[[gateways]]
name = "one"
domain = "a.example.org"
driver = "irc"
server = "xmpp.example.org:5347"
secret = "open"
users = ["*", "user@x.org"]
admins = ["admin@x.org"]
registration_required = true
[gateways.tls]
enabled = true
server_name = "other"
[gateways.rates]
joins_user = "5/1s"
joins_domain = "off"
[gateways.limits]
rooms = 7
[gateways.irc]
open = true
[[gateways.irc.networks]]
name = "libera"
[[gateways]]
name = "two"
domain = "b.example.org"
driver = "matrix"
secret_file = "irc.secret"
users = ["x.org"]
`)))
	if err != nil {
		t.Fatal(err)
	}
	g := c.Gateways[0]
	if c.Log.Level != "debug" || c.Log.Format != "json" || !strings.HasSuffix(c.Store.Path, "/sub/x.db") || c.Store.KeyFile != "/y.key" {
		t.Errorf("got %+v", c)
	}
	if c.Archive != (Archive{Persistent: true, MaxAge: Age(90 * day), MaxSize: 2 << 30}) {
		t.Errorf("archive %+v", c.Archive)
	}
	if g.Rates.JoinsUser != (Rate{5, time.Second}) || !g.Rates.JoinsDomain.Unlimited() || g.Limits.Rooms != 7 || !g.RegistrationRequired {
		t.Errorf("got %+v", g)
	}
	if len(g.Users) != 2 || !g.Users[0].Everyone() || !Matches(g.Admins, "admin@x.org/r") || Matches(g.Admins, "x@x.org") {
		t.Errorf("patterns %v %v", g.Users, g.Admins)
	}
	if tc, err := g.TLSConfig(); err != nil || tc.ServerName != "other" {
		t.Errorf("tls %v, %v", tc, err)
	}
	if tc, err := c.Gateways[1].TLSConfig(); tc != nil || err != nil {
		t.Errorf("tls that is off: %v, %v", tc, err)
	}
	if w := c.Warnings(); len(w) != 1 || !strings.Contains(w[0], "open to everyone") {
		t.Errorf("warnings %q", w)
	}
}

func TestProblems(t *testing.T) {
	const head = "[[gateways]]\nname = \"irc\"\ndomain = \"irc.example.org\"\ndriver = \"irc\"\nsecret_file = \"irc.secret\"\nusers = [\"example.org\"]\n"
	cases := []struct {
		name, text string
		want       []string // each a part of one problem, in this order
	}{
		{"empty", "", []string{"gateways: there is none"}},
		{"not toml", "[log\nlevel", []string{"line 1, column 5: is not TOML"}},
		{"twice", "[log]\nlevel = \"info\"\nlevel = \"debug\"\n" + head, []string{"is not TOML: key level is already defined"}},
		{"unknown table", "[lgo]\nlevel = \"info\"\n" + head, []string{"lgo: unknown key, did you mean log?"}},
		{"unknown key", "[log]\nlevle = \"info\"\n" + head, []string{"log.levle: unknown key, did you mean level?"}},
		{"nothing near", "[log]\nzzzzzzzzz = 1\n" + head, []string{"log.zzzzzzzzz: unknown key, known here: format, level"}},
		{"unknown in gateway", head + "secert = \"x\"\n", []string{"gateways[irc].secert: unknown key, did you mean secret?"}},
		{"unknown below gateway", head + "[gateways.rates]\njoin_user = \"1/1s\"\n", []string{"gateways[irc].rates.join_user: unknown key, did you mean joins_user?"}},
		{"another driver's section", head + "[gateways.matrix]\nx = 1\n", []string{"gateways[irc].matrix: unknown key"}},
		{"misspelt section", head + "[gateways.icr]\nx = 1\n", []string{"gateways[irc].icr: unknown key, did you mean irc?"}},
		{"wrong types", "[log]\nlevel = 3\n[ops]\nprofile = \"yes\"\n" + head, []string{"log.level: must be a string, not a number", "ops.profile: must be true or false, not a string"}},
		{"unknown beside wrong", "[log]\nlevle = \"info\"\nformat = 3\n[stroe]\nx = 1\n" + head + "secert = \"x\"\nserver = 3\n[gateways.rates]\njions = 1\njoins_user = 3\n",
			[]string{"gateways[irc].rates.jions: unknown key, known here", "gateways[irc].rates.joins_user: must be a string", "gateways[irc].secert: unknown key, did you mean secret?", "gateways[irc].server: must be a string", "log.format: must be a string", "log.levle: unknown key", "stroe: unknown key, did you mean store?"}},
		{"list wanted", strings.Replace(head, `["example.org"]`, `"example.org"`, 1), []string{"gateways[irc].users: must be a list"}},
		{"table wanted", head + "rates = 3\n", []string{"gateways[irc].rates: must be a table"}},
		{"section no table", head + "irc = 3\n", []string{"gateways[irc].irc: must be a table"}},
		{"gateways no list", "[gateways]\nname = \"x\"\n", []string{"gateways: must be a list of tables: write [[gateways]]"}},
		{"gateways of numbers", "gateways = [1]\n", []string{"gateways[0]: must be a table"}},
		{"log no table", "log = 3\n" + head, []string{"log: must be a table"}},
		{"bad words", "[log]\nlevel = \"loud\"\nformat = \"xml\"\n" + head, []string{`log.format: "xml" is none of: text, json`, `log.level: "loud" is none of`}},
		{"bad archive", "[archive]\nmax_age = \"90\"\nmax_size = 5\nrecords = true\n" + head,
			[]string{`archive.max_age: "90" is not an age`, "archive.max_size: must be a string, not a number", "archive.records: unknown key, did you mean record?"}},
		{"empty store", "[store]\npath = \"\"\n" + head, []string{"store.path: is empty"}},
		{"two databases", "[store]\npostgres = \"postgres://x\"\npostgres_file = \"irc.secret\"\n" + head,
			[]string{"store.postgres: is set together with postgres_file, keep one"}},
		{"no address in the file", "[store]\npostgres_file = \"irc.secret\"\n" + head,
			[]string{"store.postgres_file: is not an address of the form postgres://user@host/database"}},
		{"no file", "[store]\npostgres_file = \"none\"\n" + head, []string{"store.postgres_file: "}},
		{"no address", "[store]\npath = \"\"\npostgres = \"mysql://u:hunter2@h/d\"\n" + head,
			[]string{"store.postgres: is not an address of the form postgres://user@host/database"}},
		{"remote listener", "[ops]\nlisten = \"0.0.0.0:9347\"\n" + head, []string{"ops.listen: 0.0.0.0:9347 can be reached from other machines"}},
		{"listener without host", "[ops]\nlisten = \":9347\"\n" + head, []string{"ops.listen: :9347 can be reached"}},
		{"files without an address", "[files]\nlisten = \"127.0.0.1:9348\"\n" + head, []string{"files.url: is missing"}},
		{"files without a listener", "[files]\nurl = \"https://a.example\"\n" + head, []string{"files.listen: is missing"}},
		{"bad files", "[files]\nlisten = \"here\"\nurl = \"ftp://a\"\nmax_size = \"off\"\n" + head, []string{`files.listen: "here" is not host:port`, "files.max_size: must be more than 0", "files.url:"}},
		{"bad upload", "[files]\nupload = \"every one\"\nupload_max = \"off\"\n" + head, []string{`files.upload: "every one" is neither "auto" nor "off"`, "files.upload_max: must be more than 0"}},
		{"bad listener", "[ops]\nlisten = \"here\"\n" + head, []string{`ops.listen: "here" is not host:port`}},
		{"everything missing in a gateway", "[[gateways]]\n", []string{"gateways[0].domain: is missing", "gateways[0].driver: is missing, one of: irc, matrix", "gateways[0].name: needs a short name", "gateways[0].secret: is missing", "gateways[0].users: nobody may use"}},
		{"bad gateway", "[[gateways]]\nname=\"A b\"\ndomain=\"a b\"\ndriver=\"irk\"\nserver=\"x\"\nsecret=\"x\"\nsecret_file=\"irc.secret\"\nusers=[]\n[gateways.limits]\nrooms=-1\n",
			[]string{`domain: "a b" is not a domain`, `driver: there is no driver "irk", did you mean irc?`, "limits.rooms: must not be negative", "name: needs", "secret: is set together", `server: "x" is not host:port`, "users: nobody"}},
		{"section of no driver", strings.Replace(head, `driver = "irc"`, `driver = "irk"`, 1) + "zzzzzzzzzz = 1\n[gateways.irk]\nx = 1\n",
			[]string{`driver: there is no driver "irk", did you mean irc?`, "zzzzzzzzzz: unknown key, known here: admins, domain, driver, limits, name,"}},
		{"bad port", head + "server = \"x:99999\"\n", []string{`server: "99999" is not a port`}},
		{"bad patterns", strings.Replace(head, `["example.org"]`, `["a b", "x@*", "*x.org", "a@b/c", ""]`, 1),
			[]string{`gateways[irc].users[0]: "a b" is not a pattern`, "users[1]: \"x@*\"", "users[2]", "users[3]: \"a@b/c\" has a resource", "users[4]: a pattern is empty"}},
		{"bad rates", head + "[gateways.rates]\njoins_user = \"many\"\njoins_domain = 3\n", []string{"joins_domain: must be a string", `joins_user: "many" is not a rate`}},
		{"secret file missing", strings.Replace(head, "irc.secret", "none.secret", 1), []string{"gateways[irc].secret_file: ", "none.secret: no such file"}},
		{"names twice", head + head, []string{"gateways[irc].domain: irc.example.org belongs to another", "gateways[irc].name: is used twice"}},
		{"ca file missing", head + "[gateways.tls]\nenabled = true\nca_file = \"none.pem\"\n", []string{"gateways[irc].tls.ca_file: ", "none.pem: no such file"}},
		{"ca file no pem", head + "[gateways.tls]\nca_file = \"irc.secret\"\nenabled = true\n", []string{"holds no certificate"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, c.text)
			_, err := Load(options(file))
			var p Problems
			if !errors.As(err, &p) {
				t.Fatalf("got %v", err)
			}
			text := err.Error()
			for _, one := range p {
				if one.File != file {
					t.Errorf("%q does not name its file", one)
				}
			}
			rest := text
			for _, want := range c.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("%q is not in, or not in its place in\n%s", want, text)
				}
				rest = after
			}
			if n := strings.Count(text, "\n") + 1; n > len(c.want) {
				t.Errorf("%d lines for %d mistakes:\n%s", n, len(c.want), text)
			}
			if strings.Contains(text, "mapstructure") || strings.Contains(text, "s3cret") {
				t.Errorf("the text is not for people: %s", text)
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none.toml")
	_, err := Load(options(file))
	if err == nil || err.Error() != file+": cannot be read: no such file or directory" {
		t.Errorf("got %v", err)
	}
	if _, err := (&Config{}).Again(); err == nil {
		t.Error("a config without a file was read again")
	}
}

func TestSecretFileOthersMayRead(t *testing.T) {
	file := write(t, minimal)
	secretFile := filepath.Join(filepath.Dir(file), "irc.secret")
	if err := os.Chmod(secretFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(options(file)); err == nil || !strings.Contains(err.Error(), "everybody may read it (mode 0644)") {
		t.Errorf("got %v", err)
	}
	if err := os.Chmod(secretFile, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(options(file)); err != nil {
		t.Errorf("readable for its group: %v", err)
	}
	if err := os.WriteFile(secretFile, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(options(file)); err == nil || !strings.Contains(err.Error(), "it is empty") {
		t.Errorf("got %v", err)
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "[log]\nlevel = \"warn\"\n"+minimal+"server = \"file:1\"\n")
	load := func(set map[string]string) Config {
		t.Helper()
		o := options(file)
		o.Set = set
		c, err := Load(o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := load(nil); c.Log.Level != "warn" || c.Gateways[0].Server != "file:1" {
		t.Errorf("file: %s %s", c.Log.Level, c.Gateways[0].Server)
	}
	for name, value := range map[string]string{
		"TRANSPORTD_LOG_LEVEL":                       "error",
		"TRANSPORTD_OPS_PROFILE":                     "true",
		"TRANSPORTD_GATEWAYS_IRC_SERVER":             "env:2",
		"TRANSPORTD_GATEWAYS_IRC_USERS":              "a.org, b.org",
		"TRANSPORTD_GATEWAYS_IRC_LIMITS_ROOMS":       "9",
		"TRANSPORTD_GATEWAYS_IRC_RATES_JOINS_USER":   "1/1s",
		"TRANSPORTD_GATEWAYS_IRC_TLS_ENABLED":        "false",
		"TRANSPORTD_GATEWAYS_IRC_DRIVER":             "irc",
		"TRANSPORTD_CONFIG":                          "is read elsewhere",
		"TRANSPORTD_SERVICE_HOST":                    "of a container platform",
		"TRANSPORTD_PORT_5347_TCP":                   "of a container platform",
		"TRANSPORTD_GATEWAYS_IRC_RATES_JOINS_DOMAIN": "",
	} {
		t.Setenv(name, value)
	}
	c := load(nil)
	g := c.Gateways[0]
	if c.Log.Level != "error" || !c.Ops.Profile || g.Server != "env:2" || fmt.Sprint(g.Users) != "[a.org b.org]" ||
		g.Limits.Rooms != 9 || g.Rates.JoinsUser != (Rate{1, time.Second}) || g.Rates.JoinsDomain != DefaultGateway().Rates.JoinsDomain {
		t.Errorf("environment: %+v", c)
	}
	c = load(map[string]string{"log.level": "debug", "gateways.irc.server": "flag:3", "ops.listen": ""})
	if c.Log.Level != "debug" || c.Gateways[0].Server != "flag:3" || c.Ops.Listen != "" {
		t.Errorf("flags: %s %s %q", c.Log.Level, c.Gateways[0].Server, c.Ops.Listen)
	}
}

func TestEnvironmentAndFlagsAreStrict(t *testing.T) {
	o := options(write(t, "[log]\nlevel = \"loud\"\n"+minimal))
	t.Setenv("TRANSPORTD_LOG_LEVLE", "debug")
	t.Setenv("TRANSPORTD_LOG_FORMAT", "xml")
	t.Setenv("TRANSPORTD_GATEWAYS_IRC_SECERT", "x")
	t.Setenv("TRANSPORTD_OPS_PROFILE", "perhaps")
	o.Set = map[string]string{"log.lvl": "debug", "gateways.irc.limits.rooms": "many", "gateways.irc.users": "a b"}
	_, err := Load(o)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"TRANSPORTD_LOG_LEVLE: unknown environment variable, did you mean TRANSPORTD_LOG_LEVEL?",
		"TRANSPORTD_GATEWAYS_IRC_SECERT: unknown environment variable, did you mean TRANSPORTD_GATEWAYS_IRC_SECRET?",
		"TRANSPORTD_OPS_PROFILE: ops.profile: must be true or false, not a string",
		"TRANSPORTD_LOG_FORMAT: log.format: \"xml\" is none of",
		"--set gateways.irc.users: gateways[irc].users[0]: \"a b\" is not a pattern",
		o.File + ": log.level: \"loud\" is none of",
		"--set log.lvl: unknown key, did you mean log.level?",
		"--set gateways.irc.limits.rooms: gateways[irc].limits.rooms: must be a whole number, not a string",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%s", want, err)
		}
	}
}

func TestAmbiguousVariable(t *testing.T) {
	file := write(t, minimal+strings.NewReplacer(`"irc"`+"\ndomain", `"irc-tls"`+"\ndomain", "IRC.", "irc2.").Replace(minimal))
	t.Setenv("TRANSPORTD_GATEWAYS_IRC_TLS_SERVER", "x:1") // gateways.irc.tls.server does not exist
	if c, err := Load(options(file)); err != nil || c.Gateways[1].Server != "x:1" {
		t.Errorf("got %v", err)
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	c, err := Load(options(write(t, strings.Replace(minimal, `secret_file = "irc.secret"`, `secret = "hunter2"`, 1))))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%v %+v %#v %s", c, c, c, c.Gateways[0].Secret)
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(io.Writer(&b), nil)} {
		slog.New(h).Info("config", "config", c, "gateway", c.Gateways[0], "secret", c.Gateways[0].Secret)
	}
	if strings.Contains(b.String(), "hunter2") {
		t.Error("the secret shows")
	}
	if !strings.Contains(b.String(), "[hidden]") {
		t.Error("a set secret does not show as hidden")
	}
	if s, err := c.Gateways[0].ReadSecret(); err != nil || s != "hunter2" {
		t.Errorf("secret %q, %v", s, err)
	}
}

func TestKeys(t *testing.T) {
	got := strings.Join(Keys(new(driverConfig)), " ")
	want := "open networks[].name networks[].ports networks[].plain networks[].interval networks[].password_file ports plain interval password_file"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, key := range []string{"log.level", "gateways[].rates.joins_user", "gateways[].secret_file", "gateways[].users"} {
		if !strings.Contains(" "+strings.Join(Keys(new(Config)), " ")+" ", " "+key+" ") {
			t.Errorf("%s is not listed", key)
		}
	}
}

// TestEverySecretHasAFileTwin looks at the types themselves, so that a secret
// added later cannot forget its twin.
func TestEverySecretHasAFileTwin(t *testing.T) {
	keys := map[string]bool{}
	var secrets []string
	walkKeys(reflect.TypeFor[Config](), "", func(key string, typ reflect.Type) {
		keys[key] = true
		if strings.HasSuffix(typ.String(), "secret.Text") {
			secrets = append(secrets, key)
		}
	})
	if len(secrets) == 0 {
		t.Fatal("no secret was found")
	}
	for _, s := range secrets {
		if !keys[s+"_file"] {
			t.Errorf("%s has no twin", s)
		}
	}
}
