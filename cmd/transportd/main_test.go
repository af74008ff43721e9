package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"transportd/config"
	"transportd/internal/secret"
	"transportd/store"
)

// asProgram makes this test binary the program itself, so that tests can start
// it, send it signals and see its exit code.
const asProgram = "RUN_AS_TRANSPORTD"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// cli runs a command line in this process.
func cli(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// initialised runs init in a fresh folder and returns the config file.
func initialised(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "transportd.toml")
	args = append([]string{"init", "-c", file, "--state", dir, "--domain", "irc.example.org"}, args...)
	if code, _, stderr := cli(t, args...); code != exitOK {
		t.Fatalf("%d: %s", code, stderr)
	}
	return file
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}} {
		code, out, _ := cli(t, args...)
		if code != exitOK {
			t.Errorf("%v: exit code %d", args, code)
		}
		for _, want := range []string{"run", "check", "init", "version", "backup", "export", "SIGHUP", "TRANSPORTD_LOG_LEVEL", "XEP-0114", "78"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no word of %s", args, want)
			}
		}
	}
	for _, c := range newRootCommand().Commands() {
		_, out, _ := cli(t, c.Name(), "--help")
		if len(strings.TrimSpace(c.Long)) < 80 && c.Name() != "version" || !strings.Contains(out, strings.Split(c.Long, "\n")[0]) {
			t.Errorf("%s --help is not worth reading:\n%s", c.Name(), out)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.toml")
	for _, c := range []struct{ line, want string }{
		{"rnu", `"rnu" is no command`},
		{"run now", `"now" is no command of transportd run`},
		{"check --nonsense", "unknown flag: --nonsense"},
		{"check --set level", "--set level: write key=value"},
		{"backup", "backup takes one folder"},
		{"backup a b", "backup takes one folder"},
		{"init", "--domain is missing"},
		{"init --domain a/b", `"a/b" is not a domain`},
		{"init --domain *.example.org", "is not a domain"},
		{"init --domain u@example.org", "is not a domain"},
		{"init --domain localhost", "--allow is missing"},
		{"init --domain a.b --server x", `--server: "x" is not host:port`},
		{"init --domain a.b --server :5347", `--server: ":5347" is not host:port`},
		{"init --domain a.b --server x:99999", `--server: "99999" is not a port`},
		{"init --domain a.b --name IRC", "--name: needs a short name of lower-case letters"},
		{"init --domain a.b --name ../x", "--name: needs a short name"},
		{"init --domain a.b --network x=irc.example.net:6667", "--network: networks[0] (x): hosts:"},
		{"init --domain a.b --network x=y --network x=z", "--network: networks[1] (x): name:"},
		{"init --domain a.b --allow a@", `"a@"`},
		{"init --domain a.b --admin *x", `"*x"`},
		{"init --domain a.b --network x", "--network x: write name=host"},
		{"init --domain a.b --owner nobody-of-that-name", "there is no user nobody-of-that-name"},
	} {
		code, out, stderr := cli(t, append(strings.Fields(c.line), "-c", file)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, "--help") || out != "" {
			t.Errorf("%s: %d %q %q", c.line, code, out, stderr)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("a refused command left %v, %v", entries, err)
	}
}

func TestVersion(t *testing.T) {
	old := version
	defer func() { version = old }()
	version = "9.8.7"
	code, out, _ := cli(t, "version")
	if code != exitOK || !strings.HasPrefix(out, "transportd 9.8.7") || !strings.Contains(out, "go1.") {
		t.Errorf("%d %q", code, out)
	}
}

func TestInit(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "etc", "transportd.toml")
	code, out, stderr := cli(t, "init", "-c", file, "--domain", "IRC.example.org", "--server", "192.0.2.7:5275", "--state", dir,
		"--allow", "example.net", "--allow", "*.example.com", "--admin", "me@example.net", "--network", "home=irc.example.net", "--open", "--name", "chat")
	if code != exitOK {
		t.Fatalf("%d: %s", code, stderr)
	}
	secretFile := filepath.Join(dir, "etc", "chat.secret")
	for _, path := range []string{file, secretFile} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	data, err := os.ReadFile(secretFile)
	if err != nil {
		t.Fatal(err)
	}
	word := strings.TrimSpace(string(data))
	if len(word) < 24 {
		t.Errorf("the secret has %d characters", len(word))
	}
	for _, want := range []string{
		"Component \"irc.example.org\"\n        component_secret = \"" + word + "\"",
		"component_ports = { 5275 }", `component_interfaces = { "192.0.2.7" }`,
		"module: ejabberd_service", "\"irc.example.org\":\n          password: \"" + word + "\"", "port: 5275", "global_routes: false",
		"Openfire", "Tigase", "transportd check --config " + file,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	c, err := config.Load(config.Options{File: file, Drivers: driverNames()})
	if err != nil {
		t.Fatal(err)
	}
	g := c.Gateways[0]
	if s, err := g.ReadSecret(); err != nil || s != word {
		t.Errorf("the config's secret is another (%v)", err)
	}
	if g.Name != "chat" || g.Domain != "irc.example.org" || g.Server != "192.0.2.7:5275" || c.Store.Path != filepath.Join(dir, "transportd.db") {
		t.Errorf("got %+v", c)
	}
	for jid, want := range map[string]bool{"a@example.net": true, "a@b.example.com": true, "a@example.com": false, "a@example.org": false} {
		if config.Matches(g.Users, jid) != want {
			t.Errorf("users: %s", jid)
		}
	}
	if !config.Matches(g.Admins, "me@example.net") {
		t.Error("admins")
	}
	driver, err := drivers["irc"].open(g.Section)
	if err != nil || len(driver.Networks()) != 1 || driver.Networks()[0].ID != "home" {
		t.Errorf("networks: %v", err)
	}
}

func TestInitLetsInTheDomainAbove(t *testing.T) {
	file := initialised(t)
	c, err := config.Load(config.Options{File: file, Drivers: driverNames()})
	if err != nil {
		t.Fatal(err)
	}
	g := c.Gateways[0]
	if !config.Matches(g.Users, "a@example.org") || config.Matches(g.Users, "a@example.net") || config.Matches(g.Users, "a@x.example.org") {
		t.Errorf("users are %v", g.Users)
	}
}

// What init writes is ready to run: the folder of the database is there, for its
// owner alone, and one that exists stays as it is.
func TestInitMakesTheStateFolder(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "var", "lib")
	for i, name := range []string{"one", "two"} {
		code, _, stderr := cli(t, "init", "-c", filepath.Join(dir, name, "transportd.toml"), "--state", state, "--domain", "irc.example.org")
		if code != exitOK {
			t.Fatalf("%d: %s", code, stderr)
		}
		want := []os.FileMode{0o700, 0o750}[i]
		if info, err := os.Stat(state); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", state, info, err)
		}
		if err := os.Chmod(state, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "three.toml")
	code, _, stderr := cli(t, "init", "-c", file, "--state", filepath.Join(dir, "file", "x"), "--domain", "irc.example.org")
	if _, err := os.Stat(file); code != exitFailure || !strings.Contains(stderr, "--state") || err == nil {
		t.Errorf("%d: %s", code, stderr)
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	for _, name := range []string{"transportd.toml", "irc.secret"} {
		dir := t.TempDir()
		existing := filepath.Join(dir, name)
		if err := os.WriteFile(existing, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, stderr := cli(t, "init", "-c", filepath.Join(dir, "transportd.toml"), "--state", filepath.Join(dir, "state"), "--domain", "irc.example.org")
		if code != exitFailure || out != "" || !strings.Contains(stderr, existing+" exists already") {
			t.Errorf("%d %q %q", code, out, stderr)
		}
		if data, err := os.ReadFile(existing); err != nil || string(data) != "mine" {
			t.Errorf("%s is now %q, %v", name, data, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%d files, %v", len(entries), err)
		}
	}
}

func TestListenIP(t *testing.T) {
	for host, want := range map[string]string{"127.0.0.1": "127.0.0.1", "::1": "::1", "localhost": "127.0.0.1", "192.0.2.1": "192.0.2.1", "xmpp.example.org": "0.0.0.0"} {
		if got := listenIP(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	file := initialised(t)
	dir := filepath.Dir(file)
	code, out, stderr := cli(t, "check", "-c", file)
	if code != exitOK || out != file+": nothing is wrong\n" || stderr != "" {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	// It touches nothing: no database, no key.
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("check left %v, %v", entries, err)
	}
	code, _, stderr = cli(t, "check", "-c", file, "--set", "gateways.irc.users=*", "--set", "gateways.irc.server=192.0.2.1:5347")
	if code != exitOK || !strings.Contains(stderr, "open to everyone") || !strings.Contains(stderr, "without TLS") {
		t.Errorf("%d %q", code, stderr)
	}
	edit(t, file, `server = "127.0.0.1:5347"`, `srever = "x"`, `hosts = ["irc.oftc.net"]`, `ports = ["0"]`, `open = false`, `opne = false`)
	code, out, stderr = cli(t, "check", "-c", file, "--log-level", "loud", "--log-format", "xml")
	if code != exitConfig || out != "" {
		t.Errorf("%d %q", code, out)
	}
	for _, want := range []string{
		file + ": gateways[irc].srever: unknown key, did you mean server?", `log.level: "loud"`, `log.format: "xml"`,
		"gateways[irc].irc.opne: unknown key, did you mean open?", `"0" is not a port`,
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in\n%s", want, stderr)
		}
	}
	// A folder the service manager may still make is no mistake, but worth a word.
	file = initialised(t)
	code, out, stderr = cli(t, "check", "-c", file, "--set", "store.path=/none/there/x.db")
	if code != exitOK || !strings.Contains(stderr, "note: store.path: there is no folder /none/there yet") || !strings.Contains(out, "nothing is wrong") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}

// edit replaces texts of a file, each of which must be there.
func edit(t *testing.T, file string, oldnew ...string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("%q is not in the file", oldnew[i])
		}
		text = strings.Replace(text, oldnew[i], oldnew[i+1], 1)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigFromTheEnvironment(t *testing.T) {
	file := initialised(t)
	t.Setenv("TRANSPORTD_CONFIG", file)
	if code, out, stderr := cli(t, "check"); code != exitOK || !strings.HasPrefix(out, file) {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}

func TestRunRefusesABadConfig(t *testing.T) {
	code, out, stderr := cli(t, "run", "-c", filepath.Join(t.TempDir(), "none.toml"))
	if code != exitConfig || out != "" || !strings.Contains(stderr, "none.toml: cannot be read: no such file or directory") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}

func TestRunWithoutItsFolder(t *testing.T) {
	file := initialised(t)
	code, _, stderr := cli(t, "run", "-c", file, "--set", "store.path=/none/there/x.db", "--set", "ops.listen=127.0.0.1:0")
	if code != exitFailure || !strings.Contains(stderr, "there is no folder /none/there") {
		t.Errorf("%d %q", code, stderr)
	}
}

// The reason of the end is in the log, in the log's form.
func TestRunLogsWhyItFailed(t *testing.T) {
	file := initialised(t)
	code, _, stderr := cli(t, "run", "-c", file, "--set", "store.path=/none/there/x.db", "--log-format", "json")
	last := ""
	for line := range strings.Lines(stderr) {
		last = line
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if code != exitFailure || !strings.Contains(last, `"level":"ERROR"`) || !strings.Contains(last, "there is no folder /none/there") {
		t.Errorf("%d %s", code, last)
	}
}

func TestBackupCommand(t *testing.T) {
	file := initialised(t)
	dir := filepath.Dir(file)
	o := store.Options{Path: filepath.Join(dir, "transportd.db"), KeyFile: filepath.Join(dir, "transportd.key")}
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	a := store.Account{Gateway: "g", User: "u@x", Network: "n", Secrets: map[string]secret.Text{"password": "s3cret"}}
	if err := db.PutAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "b")
	code, out, stderr := cli(t, "backup", "-c", file, to) // the database is in use
	if code != exitOK || !strings.Contains(out, to) {
		t.Fatalf("%d %q %q", code, out, stderr)
	}
	if code, _, stderr := cli(t, "backup", "-c", file, to); code != exitFailure || !strings.Contains(stderr, "holds a backup already") {
		t.Errorf("%d %q", code, stderr)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	back, err := store.Open(t.Context(), store.Options{Path: filepath.Join(to, store.BackupDatabase), KeyFile: filepath.Join(to, store.BackupKey)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = back.Close() }()
	if got, err := back.Account(t.Context(), "g", "u@x", "n"); err != nil || got.Secrets["password"] != "s3cret" {
		t.Errorf("%+v, %v", got, err)
	}
}
