package main

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"transportd/bridges/irc"
	"transportd/bridges/matrix"
	"transportd/config"
	"transportd/internal/ops"
)

var update = flag.Bool("update", false, "write the example config anew")

const (
	exampleFile       = "../../contrib/transportd.example.toml"
	matrixExampleFile = "../../contrib/matrix.example.toml"
)

// example is what init writes for the values the example shows.
func example(t *testing.T) string { return exampleOf(t, "irc") }

func exampleOf(t *testing.T, driver string) string {
	t.Helper()
	in := &initFlags{shared: &sharedFlags{file: config.DefaultFile}, domain: driver + ".example.org", driver: driver,
		server: config.DefaultGateway().Server, state: filepath.Dir(config.Default().Store.Path)}
	v, err := in.values()
	if err != nil {
		t.Fatal(err)
	}
	text, err := render("config", configTemplate, v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestExampleConfigIsWhatInitWrites(t *testing.T) {
	for driver, file := range map[string]string{"irc": exampleFile, "matrix": matrixExampleFile} {
		want := exampleOf(t, driver)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := read(t, file); got != want {
			t.Errorf("%s is not what init writes; run go test ./cmd/transportd -run Example -update", file)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// loadText loads a config beside a secret.
func loadText(t *testing.T, text string) (config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "transportd.toml")
	for path, data := range map[string]string{file: text, filepath.Join(dir, "irc.secret"): "x"} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(config.Options{File: file, Drivers: driverNames()})
	return c, checkSections(&c, err)
}

var (
	shownDefault = regexp.MustCompile(`(?m)^# ([a-z_]+ = )`)
	shownKey     = regexp.MustCompile(`(?m)^(?:# )?([a-z_]+) = `)
	table        = regexp.MustCompile(`(?m)^\[+([a-z.]+)\]+$`)
)

// TestExampleNamesEveryKey checks that every key there is stands in the example
// in its table, and no other.
func TestExampleNamesEveryKey(t *testing.T) {
	for driver, settings := range map[string]any{"irc": new(irc.Config), "matrix": new(matrix.Config)} {
		t.Run(driver, func(t *testing.T) { namesEveryKey(t, driver, settings) })
	}
}

func namesEveryKey(t *testing.T, driver string, settings any) {
	shown := map[string]bool{}
	at := ""
	for line := range strings.Lines(exampleOf(t, driver)) {
		if m := table.FindStringSubmatch(line); m != nil {
			at = m[1] + "."
		} else if m := shownKey.FindStringSubmatch(line); m != nil {
			shown[at+m[1]] = true
		}
	}
	var keys []string
	for _, key := range config.Keys(new(config.Config)) {
		keys = append(keys, strings.ReplaceAll(key, "[]", ""))
	}
	perNetwork := map[string]bool{}
	for _, key := range config.Keys(settings) {
		key = strings.ReplaceAll(key, "[]", "")
		if name, ok := strings.CutPrefix(key, "networks."); ok && slices.Contains(config.Keys(settings), name) {
			perNetwork["gateways."+driver+"."+key] = true // shown once, in the gateway's table
			continue
		}
		keys = append(keys, "gateways."+driver+"."+key)
	}
	for _, key := range keys {
		if !shown[key] && key != "gateways.secret" { // shown in a comment: it excludes its twin
			t.Errorf("%s is not in the example", key)
		}
	}
	for key := range shown {
		if !slices.Contains(keys, key) && !perNetwork[key] {
			t.Errorf("%s is in the example and unknown", key)
		}
	}
}

// TestExampleShowsTheDefaults loads the example with all its defaults made
// settings: it must be valid and mean the same.
func TestExampleShowsTheDefaults(t *testing.T) {
	text := example(t)
	plain, err := loadText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	full, err := loadText(t, shownDefault.ReplaceAllString(text, "$1"))
	if err != nil {
		t.Fatal(err)
	}
	if plain.Log != full.Log || plain.Ops != full.Ops || plain.Store != full.Store {
		t.Errorf("%+v\nis not\n%+v", full, plain)
	}
	a, b := plain.Gateways[0], full.Gateways[0]
	a.SecretFile, b.SecretFile = "", ""
	a.Section, b.Section = config.Section{}, config.Section{}
	if len(b.Admins) == 0 {
		b.Admins = a.Admins
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\nis not\n%+v", b, a)
	}
}

// commands are the program's commands with the flags each shows; one of another
// command has its name before its own.
func commands() map[string][]string {
	out := map[string][]string{}
	var add func(c *cobra.Command)
	add = func(c *cobra.Command) {
		c.InitDefaultHelpFlag()
		flags := []string{}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
		out[strings.TrimPrefix(c.CommandPath(), "transportd ")] = flags
		for _, below := range c.Commands() {
			add(below)
		}
	}
	add(newRootCommand())
	return out
}

// TestManPageAgreesWithHelp checks that the man page has every command and flag
// that --help shows, in the command's own part, and no other.
func TestManPageAgreesWithHelp(t *testing.T) {
	parts := manParts(read(t, "../../docs/transportd.1"))
	all := commands()
	for command, flags := range all {
		part, ok := parts[command]
		if !ok {
			t.Errorf("the man page has no part about %s", command)
			continue
		}
		found := manFlags(part)
		for _, f := range flags {
			if f != "help" && !slices.Contains(found, f) {
				t.Errorf("%s --%s is not in the man page", command, f)
			}
		}
		for _, f := range found {
			if !slices.Contains(flags, f) {
				t.Errorf("%s --%s is in the man page only", command, f)
			}
		}
	}
	for command := range parts {
		if _, ok := all[command]; !ok {
			t.Errorf("the man page speaks of a command %s", command)
		}
	}
}

// manParts cuts the man page into what it says of each command: ".SS name", and
// the part about the program's own options.
func manParts(page string) map[string]string {
	parts, name := map[string]string{}, ""
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, ".SS "):
			name = strings.Trim(strings.TrimPrefix(line, ".SS "), "\"\n")
		case strings.HasPrefix(line, ".SH OPTIONS"):
			name = "transportd"
		case strings.HasPrefix(line, ".SH"):
			name = ""
		case name != "":
			parts[name] += line
		}
	}
	return parts
}

// manFlags are the flags a part defines: lines that begin with .B and a flag.
func manFlags(part string) []string {
	var out []string
	for line := range strings.Lines(part) {
		if !strings.HasPrefix(line, ".B") {
			continue
		}
		if m := regexp.MustCompile(`\\-\\-([a-z\\-]+)`).FindStringSubmatch(line); m != nil {
			out = append(out, strings.ReplaceAll(m[1], `\-`, "-"))
		}
	}
	return out
}

// TestOperationsListsEveryMetric compares the table of docs/operations.md with
// what is exported.
func TestOperationsListsEveryMetric(t *testing.T) {
	doc := read(t, "../../docs/operations.md")
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(transportd_[a-z_]+)").FindAllStringSubmatch(doc, -1) {
		documented[m[1]] = true
	}
	exported := exportedMetrics(t)
	for name := range exported {
		if !documented[name] {
			t.Errorf("%s is not in docs/operations.md", name)
		}
	}
	for name := range documented {
		if !exported[name] {
			t.Errorf("%s is in docs/operations.md and not exported", name)
		}
	}
}

// TestReloadTableIsTrue compares the table of docs/operations.md with what the
// types say is live.
func TestReloadTableIsTrue(t *testing.T) {
	doc := read(t, "../../docs/operations.md")
	for _, key := range config.LiveKeys() {
		if !strings.Contains(doc, "| `"+key+"` |") {
			t.Errorf("%s is not in the reload table", key)
		}
	}
	_, section, _ := strings.Cut(doc, "## Reload")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z._]+)` \\|").FindAllStringSubmatch(section, -1) {
		if !slices.Contains(config.LiveKeys(), m[1]) {
			t.Errorf("%s is in the reload table and not live", m[1])
		}
	}
}

// exportedMetrics are the names of everything under /metrics that is ours.
func exportedMetrics(t *testing.T) map[string]bool {
	t.Helper()
	// Beside the figures of gateways: the store's and the program's own.
	names := map[string]bool{"transportd_info": true, "transportd_store_seconds": true, "transportd_store_queue": true,
		"transportd_archive_queue": true, "transportd_archive_journal_used": true, "transportd_archive_lines_total": true, "transportd_archive_refused_total": true}
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		ops.NewMetrics("").Describe(ch)
	}()
	for d := range ch {
		names[regexp.MustCompile(`fqName: "([a-z_]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	if len(names) < 15 {
		t.Fatalf("only %d metrics", len(names))
	}
	return names
}
