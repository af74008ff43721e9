package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"transportd/store"
)

func TestExportCommand(t *testing.T) {
	file, _ := stocked(t)
	db, err := store.Open(t.Context(), stockOptions(file)) // as a running daemon has it
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	to := filepath.Join(t.TempDir(), "u.jsonl")
	export := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := cli(t, append([]string{"export", "-c", file}, args...)...)
		if code != want || strings.Contains(stdout+stderr, "s3cret") {
			t.Fatalf("%v: %d %q %q", args, code, stdout, stderr)
		}
		return stdout, stderr
	}
	out, _ := export(exitOK, "U@x")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 3 {
		t.Errorf("%d lines: %s", len(lines), out)
	}
	for i, want := range []string{"user", "account", "setting"} {
		var r struct{ Kind, Gateway string }
		if err := json.Unmarshal([]byte(lines[i]), &r); err != nil || r.Kind != want || r.Gateway != "g" {
			t.Errorf("%s: %v", lines[i], err)
		}
	}
	if told, _ := export(exitOK, "u@x", "--output", to); told != to+": 3 records\n" {
		t.Errorf("got %q", told)
	}
	info, err := os.Stat(to)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != out {
		t.Errorf("the file holds %q, %v", b, err)
	}
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"u@x --output " + to, "file exists", exitFailure},
		{"u@x --gateway other", "nothing is stored of u@x", exitFailure},
		{"v@x --output " + to + "2", "nothing is stored of v@x", exitFailure},
		{"", "export takes one user", exitUsage},
		{"u@x v@x", "export takes one user", exitUsage},
		{"u@x/r", "is no bare JID", exitUsage},
	} {
		if _, stderr := export(c.code, strings.Fields(c.args)...); !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %q", c.args, stderr)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 1 {
		t.Errorf("beside the file there is %v, %v", left, err)
	}
}
