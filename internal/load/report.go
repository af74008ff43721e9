package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is everything a run has measured, as it is written to the JSON file.
type report struct {
	Date       time.Time        `json:"date"`
	CPUs       int              `json:"cpus"`
	CPUModel   string           `json:"cpu_model"`
	Caps       []string         `json:"irc_capabilities"`
	LoadBefore string           `json:"machine_load_before"`
	Throughput []*throughputRow `json:"throughput,omitempty"`
	Latency    []latencyRow     `json:"latency,omitempty"`
	Joins      []joinRow        `json:"joins,omitempty"`
	Memory     []memoryRow      `json:"memory,omitempty"`
	Matrix     []matrixRow      `json:"matrix_idle,omitempty"`
	Store      []*storeRow      `json:"store,omitempty"`
	Pages      []pageRow        `json:"pages,omitempty"`
	Aging      []agingRow       `json:"retention,omitempty"`
	Void       []string         `json:"void,omitempty"`
	Failures   []string         `json:"failures,omitempty"`
}

// throughputRow is one gateway under one workload. Times are microseconds of the gateway's processor time.
type throughputRow struct {
	Workload         string  `json:"workload"`
	Gateway          string  `json:"gateway"`
	Users            int     `json:"users"`
	Shared           bool    `json:"shared"`
	Window           int     `json:"window"`
	CPUPerMessage    float64 `json:"cpu_us_per_message_median"`
	CPUPerMessageMin float64 `json:"cpu_us_per_message_min"`
	CPUPerStanza     float64 `json:"cpu_us_per_stanza_median"`
	Rate             float64 `json:"messages_per_second_median"`
	Ratio            float64 `json:"ratio_to_relay"` // the median of the rounds' own ratios
	OwnCPU           float64 `json:"load_program_cores"`
	ArchiveRatio     float64 `json:"ratio_to_archive_off,omitempty"` // of a gateway with its archive on; the median of the rounds' own ratios
	Recorded         int     `json:"lines_recorded,omitempty"`       // lines read back from the archive, by all users who were asked
	Rounds           []round `json:"rounds"`
	limit            float64
}

type latencyRow struct {
	Gateway string   `json:"gateway"`
	Users   int      `json:"users"`
	Ways    []spread `json:"ways"`
}

type joinRow struct {
	Gateway string `json:"gateway"`
	bigJoin
}

type memoryRow struct {
	Gateway string `json:"gateway"`
	footprint
}

type pageRow struct {
	Gateway string `json:"gateway"`
	Users   int    `json:"users"`
	paging
}

type agingRow struct {
	Gateway string `json:"gateway"`
	Users   int    `json:"users"`
	aging
}

func newReport(opt *options) *report {
	return &report{Date: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), CPUModel: cpuModel(),
		Caps: opt.caps, LoadBefore: machineLoad()}
}

// cpuModel is the processor's name, "" where the system does not tell.
func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// machineLoad is the load averages: how busy the machine was with other things.
func machineLoad() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	f := strings.Fields(string(b))
	return strings.Join(f[:min(3, len(f))], " ")
}

// sum fills in the medians; relay is the row of the same workload for the relay.
func (t *throughputRow) sum(relay *throughputRow) {
	var message, stanza, rate, ratio, own []float64
	for i, r := range t.Rounds {
		message = append(message, r.cpuPerMessage())
		stanza = append(stanza, r.cpuPerStanza())
		rate = append(rate, r.rate())
		ratio = append(ratio, r.cpuPerMessage()/relay.Rounds[i].cpuPerMessage())
		own = append(own, r.OwnCPU.Seconds()/r.Took.Seconds())
	}
	t.CPUPerMessage, t.CPUPerMessageMin, t.CPUPerStanza = median(message), slices.Min(message), median(stanza)
	t.Rate, t.Ratio, t.OwnCPU = median(rate), median(ratio), median(own)
}

func (t *throughputRow) String() string {
	return fmt.Sprintf("%s: %.2f µs a message (min %.2f), %.0f messages/s, %.1f× the relay", t.Gateway, t.CPUPerMessage,
		t.CPUPerMessageMin, t.Rate, t.Ratio)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// judge marks the workloads in which the relay itself was too slow for the figures to mean anything.
func (r *report) judge() {
	for _, t := range r.Throughput {
		if t.Gateway == "null" && t.limit > 0 && t.CPUPerMessage > t.limit {
			r.Void = append(r.Void, fmt.Sprintf("%s: the relay needed %.2f µs a message, more than %.1f: the machine was not quiet, "+
				"the workload's figures are void", t.Workload, t.CPUPerMessage, t.limit))
		}
	}
}

// write saves the figures.
func (r *report) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// print shows the figures as tables.
func (r *report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s, %d × %s, load before %s, IRC capabilities %v\n", r.Date.Format(time.DateTime), r.CPUs, r.CPUModel,
		r.LoadBefore, r.Caps)
	if len(r.Throughput) > 0 {
		fmt.Fprintln(w, "\nworkload\tusers\twindow\tgateway\tCPU µs/message\tmin\tCPU µs/stanza\tmessages/s\t× relay\t× archive off\trecorded\tload program, cores")
		for _, t := range r.Throughput {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%.2f\t%.2f\t%.2f\t%.0f\t%.2f\t%s\t%d\t%.2f\n", t.Workload, t.Users, t.Window, t.Gateway, t.CPUPerMessage,
				t.CPUPerMessageMin, t.CPUPerStanza, t.Rate, t.Ratio, t.archiveRatio(), t.Recorded, t.OwnCPU)
		}
	}
	if len(r.Latency) > 0 {
		fmt.Fprintf(w, "\nlatency, %d messages/s\tusers\tgateway\tn\tp50\tp90\tp99\tmax\n", latencyRate)
		for _, l := range r.Latency {
			for _, s := range l.Ways {
				fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%s\t%s\t%s\n", s.Name, l.Users, l.Gateway, s.N, ms(s.P50), ms(s.P90), ms(s.P99), ms(s.Max))
			}
		}
	}
	r.printArchives(w)
	if len(r.Joins) > 0 {
		fmt.Fprintln(w, "\njoin of a big channel\tgateway\tto self-presence\tCPU")
		for _, j := range r.Joins {
			fmt.Fprintf(w, "%d members\t%s\t%s\t%s\n", j.Members, j.Gateway, ms(j.Took), ms(j.CPU))
		}
	}
	if len(r.Memory) > 0 {
		fmt.Fprintln(w, "\nmemory\tusers\tgateway\tPSS before\tjust joined\tafter\tKiB/user\tall joined in\tCPU\tat rest\tfor")
		for _, m := range r.Memory {
			name := "own channels"
			if m.Shared {
				name = "one channel"
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%.1f\t%s\t%s\t%.2f %%\t%v\n", name, m.Users, m.Gateway, mib(m.PSSBefore), mib(m.PSSJoined),
				mib(m.PSSAfter), m.perUser(), ms(m.Joined), ms(m.JoinCPU), m.IdlePercent, m.Settled)
		}
	}
	if len(r.Matrix) > 0 {
		fmt.Fprintln(w, "\nidle accounts of Matrix\trooms of each\tover\tgateway\tPSS before\tafter\tKiB/account\tgoroutines/account\tall connected in\tat rest")
		for _, m := range r.Matrix {
			fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\t%.1f\t%.2f\t%s\t%.2f %%\n", m.Accounts, m.Rooms, m.Transport, m.Gateway, mib(m.PSSBefore), mib(m.PSSAfter),
				m.perAccount(), m.Goroutines, ms(m.Connected), m.IdlePercent)
		}
	}
	for _, v := range r.Void {
		fmt.Fprintln(w, "\nVOID", v)
	}
	for _, f := range r.Failures {
		fmt.Fprintln(w, "\nFAILED", f)
	}
	if err := w.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }
func mib(n int64) string        { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
