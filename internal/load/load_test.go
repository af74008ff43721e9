package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the relay that tests start.
func TestMain(m *testing.M) {
	if os.Getenv(relayVariable) != "" {
		if err := run(os.Args[1:], os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func testOptions(t *testing.T, args ...string) *options {
	t.Helper()
	opt, err := parseOptions(append([]string{"-smoke", "-gateways", "null", "-dir", t.TempDir()}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return opt
}

// Every workload against the relay: each message is accounted for and each figure is there.
func TestSmoke(t *testing.T) {
	file := filepath.Join(t.TempDir(), "load.json")
	var out bytes.Buffer
	if err := run([]string{"-smoke", "-gateways", "null", "-json", file, "-dir", t.TempDir()}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	checkSmoke(t, file, "null")
}

// checkSmoke reads the figures back and looks whether one of each kind is there.
func checkSmoke(t *testing.T, file string, gateways ...string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal(b, &rep); err != nil {
		t.Fatal(err)
	}
	n := len(gateways)
	if len(rep.Throughput) != 6*n || len(rep.Latency) != n || len(rep.Joins) != 2*n || len(rep.Memory) != 2*n {
		t.Fatalf("workloads are missing:\n%s", b)
	}
	for _, row := range rep.Throughput {
		for _, r := range row.Rounds {
			if r.Messages == 0 || r.Stanzas < r.Messages || r.CPU <= 0 {
				t.Errorf("%s, %s: %+v", row.Workload, row.Gateway, r)
			}
			// In a shared room a stanza comes out once for every user.
			if row.Workload == "xmpp2irc-shared" && r.Stanzas != r.Messages*row.Users {
				t.Errorf("%s, %s: %d stanzas of %d messages to %d users", row.Workload, row.Gateway, r.Stanzas, r.Messages, row.Users)
			}
		}
	}
	for _, l := range rep.Latency {
		if len(l.Ways) != latKinds {
			t.Errorf("latency of %s: %d ways", l.Gateway, len(l.Ways))
		}
		for _, w := range l.Ways {
			if w.N == 0 || w.P50 <= 0 || w.P50 > w.P99 || w.P99 > w.Max {
				t.Errorf("latency of %s: %+v", l.Gateway, w)
			}
		}
	}
	matrix := 0
	if slices.Contains(gateways, "transportd") {
		matrix = 2*len(matrixKinds) - 1
	}
	if len(rep.Matrix) != matrix {
		t.Errorf("%d rows of idle accounts, want %d", len(rep.Matrix), matrix)
	}
	for _, m := range rep.Matrix {
		if m.PSSBefore <= 0 || m.PSSAfter <= 0 || m.Goroutines <= 0 || m.Connected <= 0 {
			t.Errorf("idle accounts over %s: %+v", m.Transport, m)
		}
	}
	for _, m := range rep.Memory {
		if m.PSSBefore <= 0 || m.PSSAfter <= 0 {
			t.Errorf("memory of %s: %+v", m.Gateway, m)
		}
	}
}

// A relay that does something wrong is found out, whatever and wherever it is.
func TestAccountsNoticeFaults(t *testing.T) {
	want := map[string]fault{"lose": faultLost, "double": faultDoubled, "swap": faultReordered, "alter": faultAltered}
	for kind, f := range want {
		for _, direction := range []string{"line", "reflection", "stanza"} {
			t.Run(kind+" "+direction, func(t *testing.T) {
				t.Parallel()
				name := "xmpp2irc"
				if direction == "stanza" {
					name = "irc2xmpp"
				}
				opt := testOptions(t, "-only", name, "-relay-fault", kind+"@"+direction+"=37", "-stall", "1s")
				rep, err := runAll(t.Context(), opt, t.Logf)
				if err == nil {
					t.Fatal("the run did not fail")
				}
				text := strings.Join(rep.Failures, "\n")
				if !strings.Contains(text, "1 "+string(f)) {
					t.Errorf("the fault is not named: %s", text)
				}
				if len(rep.Throughput) != 0 {
					t.Error("a failed workload shows figures")
				}
			})
		}
	}
}

// The end of the gateway is a failure with its output, not a wait.
func TestGatewayThatEnds(t *testing.T) {
	_, err := newRig(t.Context(), biboumiSubject{program: "/bin/false"}, testOptions(t), newCrew(1, false))
	if err == nil || !strings.Contains(err.Error(), "ended before it authenticated") {
		t.Errorf("got %v", err)
	}
	_, err = newRig(t.Context(), biboumiSubject{program: "/no/such/program"}, testOptions(t), newCrew(1, false))
	if err == nil {
		t.Error("a missing program is no error")
	}
}

func TestOptions(t *testing.T) {
	for _, args := range [][]string{
		{"-gateways", "other"}, {"-only", "nothing"}, {"-rounds", "0"}, {"-relay-fault", "lose@line"},
		{"-relay-fault", "lose@place=3"}, {"-relay-fault", "burn@line=3"}, {"word"},
		{"-lines", "99"}, {"-pages", "0"}, {"-aged", "0"}, {"-archive", "perhaps"}, {"-gateways", "null+archive"}, {"-archive", "on", "-transportd-ops", "127.0.0.1:1"},
	} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
	for _, c := range []struct{ args, names, archives string }{
		{"-gateways biboumi,transportd -caps modern", "null biboumi transportd", "transportd+archive"},
		{"-archive on -before /old", "null transportd-before transportd transportd-before+archive transportd+archive", "transportd+archive"},
		{"-gateways biboumi,null", "null biboumi", ""},
	} {
		opt, err := parseOptions(strings.Fields(c.args))
		if err != nil {
			t.Fatal(err)
		}
		names := func(subjects []subject) string {
			var out []string
			for _, s := range subjects {
				out = append(out, s.name())
			}
			return strings.Join(out, " ")
		}
		if got := names(opt.subjects()); got != c.names {
			t.Errorf("%s measures %s", c.args, got)
		}
		if got := names(opt.archiveSubjects()); got != c.archives {
			t.Errorf("%s measures the archives of %s", c.args, got)
		}
		if modern := strings.Contains(c.args, "modern"); modern != slices.Equal(opt.caps, modernCaps) {
			t.Errorf("%s offers %v", c.args, opt.caps)
		}
	}
}

// A row's ratio is the median of the ratios of the rounds, and a slow relay makes its workload void.
func TestReport(t *testing.T) {
	rounds := func(cpu ...int) []round {
		var out []round
		for _, c := range cpu {
			out = append(out, round{Messages: 1000, Stanzas: 2000, Took: time.Second, CPU: time.Duration(c) * time.Microsecond})
		}
		return out
	}
	relay := &throughputRow{Workload: "irc2xmpp", Gateway: "null", Rounds: rounds(1000, 2000, 1100), limit: limitToXMPP}
	row := &throughputRow{Workload: "irc2xmpp", Gateway: "g", Rounds: rounds(4000, 4000, 3300), limit: limitToXMPP}
	relay.sum(relay)
	row.sum(relay)
	if row.CPUPerMessage != 4 || row.CPUPerMessageMin != 3.3 || row.CPUPerStanza != 2 || row.Rate != 1000 || row.Ratio < 2.99 || row.Ratio > 3.01 {
		t.Errorf("%+v", row)
	}
	rep := &report{Throughput: []*throughputRow{relay, row}}
	if rep.judge(); len(rep.Void) != 0 {
		t.Errorf("void at 1.1 µs: %v", rep.Void)
	}
	relay.CPUPerMessage = 1.3
	if rep.judge(); len(rep.Void) != 1 {
		t.Errorf("not void at 1.3 µs: %v", rep.Void)
	}
	var out bytes.Buffer
	rep.Failures = []string{"latency: something"}
	rep.print(&out)
	for _, want := range []string{"VOID irc2xmpp", "FAILED latency: something", "3.00"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestSpread(t *testing.T) {
	var d []time.Duration
	for i := 1000; i > 0; i-- {
		d = append(d, time.Duration(i))
	}
	s := spreadOf("x", d)
	if s.N != 1000 || s.Min != 1 || s.P50 != 501 || s.P90 != 901 || s.P99 != 991 || s.Max != 1000 {
		t.Errorf("%+v", s)
	}
}

// The daemon itself, built from this tree: nothing is lost, doubled or reordered, whatever the IRC server offers.
func TestSmokeTransportd(t *testing.T) {
	program := filepath.Join(t.TempDir(), "transportd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "transportd/cmd/transportd").CombinedOutput(); err != nil {
		t.Fatalf("building transportd: %v\n%s", err, out)
	}
	for _, caps := range []string{"none", "modern"} {
		t.Run(caps, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "load.json")
			var out bytes.Buffer
			err := run([]string{"-smoke", "-gateways", "transportd", "-archive", "on", "-transportd", program, "-caps", caps, "-json", file, "-dir", t.TempDir()}, &out)
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			checkSmoke(t, file, "null", "transportd", "transportd+archive")
			checkArchives(t, file)
		})
	}
}

// checkArchives reads back what was measured of transportd's archive.
func checkArchives(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal(b, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Store) != 1 || len(rep.Pages) != 1 || len(rep.Aging) != 1 {
		t.Fatalf("workloads are missing:\n%s", b)
	}
	said := 0
	for _, r := range rep.Store[0].Rounds {
		if r.Stored < r.Took || r.Messages == 0 {
			t.Errorf("a round of storing: %+v", r)
		}
		said += r.Messages
	}
	if s := rep.Store[0]; s.Stored <= 0 || s.Recorded < said {
		t.Errorf("storing: %+v", s)
	}
	p := rep.Pages[0]
	if len(p.Places) != len(places) || len(p.Alone) != latKinds || len(p.Beside) != latKinds {
		t.Errorf("pages: %+v", p)
	}
	for _, s := range p.Places {
		if s.N != 2 || s.P50 <= 0 {
			t.Errorf("pages %s: %+v", s.Name, s)
		}
	}
	if a := rep.Aging[0]; a.Removed != 2000 || a.Left != 2000 || a.Took <= 0 || len(a.Alone) != latKinds || len(a.Beside) != latKinds {
		t.Errorf("retention: %+v", a)
	}
}
