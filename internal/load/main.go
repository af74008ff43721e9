// Load measures a gateway: it plays the XMPP server (XEP-0114) and the IRC server around a gateway process that it starts
// itself, sends as fast as the gateway takes it, and accounts for every single message. A run in which a message is lost,
// doubled, reordered, altered, misrouted or refused fails and says which.
//
//	go run ./internal/load -gateways transportd,biboumi -json load.json
//	go run ./internal/load -smoke
//
// Beside each gateway, in the same run and turn by turn, a do-nothing relay is measured: the least that reading, copying and
// writing costs on this machine at this moment. See docs/performance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options is how a run is made.
type options struct {
	gateways []string
	only     []string
	caps     []string
	rounds   int
	round    time.Duration
	warmup   time.Duration
	window   int
	many     int // users in the workloads with many users
	users    int // users of memory-own
	shared   int // users of memory-shared

	matrixUsers int // accounts of matrix-idle
	matrixRooms int // of each
	settle      time.Duration
	idle        time.Duration
	latency     time.Duration
	latUsers    int
	lines       int // old lines of pages
	pages       int
	aged        int // old lines that retention removes
	stall       time.Duration
	ircPing     time.Duration
	dir         string
	keep        bool
	json        string
	transportd  string
	before      string
	ops         string
	biboumi     string
	archive     bool
	fault       string
}

// modernCaps is what "-caps modern" offers.
var modernCaps = []string{"multi-prefix", "userhost-in-names", "server-time", "message-tags", "echo-message", "labeled-response", "batch"}

func main() {
	err := run(os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// run is the program without the process around it.
func run(args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "nullrelay" {
		return relayMain(args[1:])
	}
	if len(args) > 0 && args[0] == "nullpolls" {
		return pollsMain(args[1:])
	}
	opt, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	rep, err := runAll(ctx, opt, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	rep.print(out)
	if opt.json != "" {
		if err2 := rep.write(opt.json); err == nil {
			err = err2
		}
	}
	return err
}

func parseOptions(args []string) (*options, error) {
	opt := &options{}
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.Func("gateways", "which gateways to measure beside the relay: transportd, biboumi, with their archives on transportd+archive, biboumi+archive; "+
		"null alone for the relay by itself", list(&opt.gateways))
	fs.Func("archive", "on: measure each gateway with its archive on, too, beside itself without; off (default): as -gateways says", onOff(&opt.archive))
	fs.Func("only", "workloads to run instead of all: "+strings.Join(workloadNames(), ", "), list(&opt.only))
	fs.Func("caps", "what the IRC server offers: none (default), modern, or a list of capabilities", list(&opt.caps))
	fs.IntVar(&opt.rounds, "rounds", 5, "measured rounds of each gateway")
	fs.DurationVar(&opt.round, "round", 2*time.Second, "length of a round")
	fs.DurationVar(&opt.warmup, "warmup", time.Second, "length of the round before the measured ones")
	fs.IntVar(&opt.window, "window", 0, "messages in flight, all flows together (default: the workload's own)")
	fs.IntVar(&opt.many, "many", 100, "users in the workloads with many users")
	fs.IntVar(&opt.users, "users", 1000, "users of memory-own, each in a channel of their own")
	fs.IntVar(&opt.shared, "shared-users", 500, "users of memory-shared, all in one channel")
	fs.IntVar(&opt.matrixUsers, "matrix-users", 1000, "accounts of matrix-idle")
	fs.IntVar(&opt.matrixRooms, "matrix-rooms", 5, "rooms of each of them")
	fs.DurationVar(&opt.settle, "settle", 3*time.Minute, "from the last join to the reading of the memory")
	fs.DurationVar(&opt.idle, "idle", time.Minute, "the last part of it, over which the processor time at rest is taken")
	fs.DurationVar(&opt.latency, "latency", 10*time.Second, "length of the latency measurement in each direction")
	fs.IntVar(&opt.latUsers, "latency-users", 10, "users in the room whose latency is measured")
	fs.IntVar(&opt.lines, "lines", 1_000_000, "old lines in the archive whose pages are read")
	fs.IntVar(&opt.pages, "pages", 100, "pages read at each of the ten places in it")
	fs.IntVar(&opt.aged, "aged", 300_000, "old lines that are removed for their age; as many others stay")
	fs.DurationVar(&opt.stall, "stall", 10*time.Second, "without progress for so long, what is missing is lost")
	fs.DurationVar(&opt.ircPing, "irc-ping", 2*time.Minute, "how often the IRC server pings each client")
	fs.StringVar(&opt.dir, "dir", "", "folder for the gateways' files (default a temporary one)")
	fs.BoolVar(&opt.keep, "keep", false, "keep the gateways' files")
	fs.StringVar(&opt.json, "json", "", "file for the figures")
	fs.StringVar(&opt.transportd, "transportd", "bin/transportd", "the transportd program")
	fs.StringVar(&opt.before, "before", "", "an older transportd program, measured in turn with the other as transportd-before")
	fs.StringVar(&opt.ops, "transportd-ops", "", "host:port for transportd's metrics and profiles while it is measured")
	fs.StringVar(&opt.biboumi, "biboumi", "biboumi", "the biboumi program")
	fs.StringVar(&opt.fault, "relay-fault", "", "let the relay do something wrong, to see it noticed: lose@line=100")
	smoke := fs.Bool("smoke", false, "a run of seconds that proves the accounts, not the speed")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if opt.gateways == nil {
		opt.gateways = []string{"transportd"}
	}
	if opt.archive {
		opt.gateways = withArchives(opt.gateways)
	}
	if *smoke {
		opt.smoke()
	}
	if slices.Equal(opt.caps, []string{"modern"}) {
		opt.caps = modernCaps
	} else if slices.Equal(opt.caps, []string{"none"}) {
		opt.caps = nil
	}
	return opt, opt.check()
}

// smoke makes the run short.
func (o *options) smoke() {
	o.rounds, o.round, o.warmup = 2, 100*time.Millisecond, 50*time.Millisecond
	o.many, o.users, o.shared = 10, 50, 20
	o.settle, o.idle, o.latency = 500*time.Millisecond, 250*time.Millisecond, 500*time.Millisecond
	o.lines, o.pages, o.aged = 3000, 2, 2000
	o.matrixUsers, o.matrixRooms = 10, 2
}

func (o *options) check() error {
	for _, g := range o.gateways {
		if !slices.Contains([]string{"transportd", "biboumi", "null", "transportd" + archiveSuffix, "biboumi" + archiveSuffix}, g) {
			return fmt.Errorf("unknown gateway %q: transportd, biboumi, either with %s, or null", g, archiveSuffix)
		}
	}
	if o.ops != "" && slices.Contains(o.gateways, "transportd") && slices.Contains(o.gateways, "transportd"+archiveSuffix) {
		return errors.New("-transportd-ops is one address: measure one transportd with it")
	}
	for _, w := range o.only {
		if !slices.Contains(workloadNames(), w) {
			return fmt.Errorf("unknown workload %q: %s", w, strings.Join(workloadNames(), ", "))
		}
	}
	if o.rounds < 1 || o.window < 0 || o.many < 1 || o.users < 1 || o.shared < 1 || o.latUsers < 1 || o.pages < 1 || o.aged < 1 || o.matrixUsers < 1 || o.matrixRooms < 1 {
		return errors.New("rounds, window and users must be positive")
	}
	if o.lines < pageLines {
		return fmt.Errorf("an archive whose pages are read has at least %d lines", pageLines)
	}
	if _, err := parseFaults(o.fault); err != nil {
		return err
	}
	return nil
}

// list is a flag of comma-separated names.
func list(to *[]string) func(string) error {
	return func(s string) error {
		*to = nil
		for name := range strings.SplitSeq(s, ",") {
			if name = strings.TrimSpace(name); name != "" {
				*to = append(*to, name)
			}
		}
		return nil
	}
}

// archiveSubjects are those of the gateways whose archive can be measured, each with it on.
func (o *options) archiveSubjects() []subject {
	for _, g := range o.gateways {
		if kind, _ := strings.CutSuffix(g, archiveSuffix); kind == "transportd" {
			return []subject{transportdSubject{program: o.transportd, ops: o.ops, archive: true}}
		}
	}
	return nil
}

// subjects are the gateways of a run; the relay comes first, always.
func (o *options) subjects() []subject {
	out := []subject{nullSubject{fault: o.fault}}
	for _, g := range o.gateways {
		kind, archived := strings.CutSuffix(g, archiveSuffix)
		switch kind {
		case "transportd":
			if o.before != "" {
				out = append(out, transportdSubject{program: o.before, archive: archived, old: true})
			}
			out = append(out, transportdSubject{program: o.transportd, ops: o.ops, archive: archived})
		case "biboumi":
			out = append(out, biboumiSubject{program: o.biboumi, archive: archived})
		}
	}
	return out
}
