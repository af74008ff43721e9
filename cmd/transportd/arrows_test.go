package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// listed is what go list tells of a package.
type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

const module = "transportd"

// goList lists the packages of the module with all they depend on.
func goList(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,Standard", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	pkgs := map[string]listed{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs[p.ImportPath] = p
	}
}

// arrow says what the packages that match from may import beside the standard
// library. A pattern ends in /... for everything below.
type arrow struct {
	from string
	to   []string
}

// The first arrow that matches a package counts. Packages without one (the test
// helpers of internal) may import what they like; nothing of the product may
// import them, which the arrows of the product see to.
var arrows = []arrow{
	{"bridges", nil},
	{"bridges/guard", nil},
	{"internal/files", []string{"transportd/bridges", "transportd/bridges/guard"}},
	{"bridges/bridgetest", []string{"transportd/bridges"}},
	{"bridges/irc", []string{"transportd/bridges", "transportd/bridges/guard", "transportd/bridges/irc/ircconn", "github.com/ergochat/irc-go/...", "github.com/xdg-go/scram", "golang.org/x/text/..."}},
	{"bridges/matrix", []string{"transportd/bridges", "transportd/bridges/guard", "transportd/bridges/matrix/keys", "maunium.net/go/mautrix/...", "github.com/rs/zerolog", "golang.org/x/net/html/...", "golang.org/x/text/..."}},
	{"bridges/matrix/keys", []string{"transportd/bridges", "maunium.net/go/mautrix/...", "go.mau.fi/util/..."}},
	{"bridges/irc/...", []string{"transportd/bridges", "github.com/ergochat/irc-go/...", "github.com/xdg-go/scram", "golang.org/x/text/...", "golang.org/x/sys/unix", "golang.org/x/time/rate"}},
	{"component", []string{"gosrc.io/xmpp/stanza", "golang.org/x/text/...", "github.com/xdg-go/stringprep"}},
	{"component/xep", []string{"transportd/component", "gosrc.io/xmpp/stanza"}},
	{"archive", nil},
	{"session", []string{"transportd/archive", "transportd/component", "transportd/component/xep", "transportd/bridges", "gosrc.io/xmpp/stanza", "golang.org/x/time/rate"}},
	{"registration", []string{"transportd/component", "transportd/component/xep", "transportd/bridges", "gosrc.io/xmpp/stanza", "golang.org/x/time/rate", "github.com/piglig/go-qr"}},
	{"store", []string{"transportd/archive", "transportd/internal/secret", "github.com/mattn/go-sqlite3", "github.com/jackc/pgx/v5/..."}},
	{"config", []string{"transportd/internal/secret", "github.com/spf13/viper", "github.com/go-viper/mapstructure/v2"}},
	{"internal/secret", nil},
	{"internal/ops", []string{"github.com/prometheus/client_golang/...", "github.com/coreos/go-systemd/v22/daemon"}},
	{"cmd/transportd", []string{"transportd/config", "transportd/registration", "transportd/session", "transportd/bridges", "transportd/bridges/irc", "transportd/bridges/matrix", "transportd/internal/files", "transportd/internal/picture",
		"transportd/archive", "transportd/component", "transportd/component/xep", "transportd/store", "transportd/internal/ops", "transportd/internal/secret", "gosrc.io/xmpp/stanza", "github.com/spf13/cobra"}},
}

func matches(pattern, pkg string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	ok, err := path.Match(pattern, pkg)
	return ok && err == nil
}

func TestNoArrowTurnsRound(t *testing.T) {
	pkgs := goList(t)
	for _, a := range arrows {
		if !slices.ContainsFunc(keys(pkgs), func(p string) bool { return matches(module+"/"+a.from, p) }) {
			t.Errorf("there is no package %s: the arrow stands for nothing", a.from)
		}
	}
	for _, p := range pkgs {
		i := slices.IndexFunc(arrows, func(a arrow) bool { return matches(module+"/"+a.from, p.ImportPath) })
		if i < 0 {
			continue
		}
		for _, imp := range p.Imports {
			if dep, known := pkgs[imp]; known && dep.Standard || imp == "C" {
				continue
			}
			if !slices.ContainsFunc(arrows[i].to, func(to string) bool { return matches(to, imp) }) {
				t.Errorf("%s must not import %s", p.ImportPath, imp)
			}
		}
	}
}

// only names the packages that may import something at all.
var only = map[string]string{
	"database/sql":               "store",
	"github.com/mattn/...":       "store",
	"github.com/jackc/...":       "store",
	"github.com/spf13/viper":     "config",
	"github.com/spf13/cobra":     "cmd/transportd",
	"github.com/piglig/...":      "registration",
	"github.com/prometheus/...":  "internal/ops",
	"github.com/coreos/...":      "internal/ops",
	"github.com/ergochat/...":    "bridges/irc/...",
	"github.com/xdg-go/...":      "component bridges/irc/...",
	"maunium.net/...":            "bridges/matrix/...",
	"gosrc.io/xmpp":              "", // its Component and Client are for tests
	"gosrc.io/xmpp/stanza":       "component session registration cmd/transportd",
	"transportd/internal/...":    "cmd/transportd store config",
	"transportd/bridges/irc/...": "cmd/transportd bridges/irc/...",
}

// product are the packages the daemon is made of.
func product(pkgs map[string]listed) []string {
	var out []string
	var visit func(p string)
	visit = func(p string) {
		if slices.Contains(out, p) || !strings.HasPrefix(p, module+"/") {
			return
		}
		out = append(out, p)
		for _, imp := range pkgs[p].Imports {
			visit(imp)
		}
	}
	visit(module + "/cmd/transportd")
	return out
}

func TestOneOwnerOfEachLibrary(t *testing.T) {
	pkgs := goList(t)
	for _, p := range product(pkgs) {
		for _, imp := range pkgs[p].Imports {
			for pattern, owners := range only {
				if !matches(pattern, imp) {
					continue
				}
				allowed := slices.ContainsFunc(strings.Fields(owners), func(o string) bool {
					return matches(module+"/"+o, p) || strings.HasPrefix(p, module+"/component/") && o == "component"
				})
				if !allowed {
					t.Errorf("%s imports %s, which belongs to %q", p, imp, owners)
				}
			}
		}
	}
}

// TestNoTestHelperIsInTheProgram keeps servers and clients for tests out of what
// is shipped.
func TestNoTestHelperIsInTheProgram(t *testing.T) {
	pkgs := goList(t)
	shipped := product(pkgs)
	if len(shipped) < 8 {
		t.Fatalf("only %d packages: %v", len(shipped), shipped)
	}
	for _, p := range shipped {
		for _, helper := range []string{"xmpptest", "irctest", "matrixtest", "testenv", "bridgetest", "load", "demo"} {
			if path.Base(p) == helper {
				t.Errorf("%s is in the program", p)
			}
		}
		if slices.Contains(pkgs[p].Imports, "testing") {
			t.Errorf("%s imports testing", p)
		}
	}
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
