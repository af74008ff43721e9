package main

import (
	"fmt"
	"io"
	"time"
)

// printArchives shows what was measured of archives.
func (r *report) printArchives(w io.Writer) {
	if len(r.Store) > 0 {
		fmt.Fprintln(w, "\nlines stored while relayed\tusers\twindow\tgateway\tstored/s\tmin\trelayed/s\twait at the end\tCPU µs/line\trecorded")
		for _, s := range r.Store {
			fmt.Fprintf(w, "own channels\t%d\t%d\t%s\t%.0f\t%.0f\t%.0f\t%.2f ms\t%.2f\t%d\n", s.Users, s.Window, s.Gateway, s.Stored, s.StoredMin, s.Relayed,
				s.Drain, s.CPUPerMessage, s.Recorded)
		}
	}
	if len(r.Pages) > 0 {
		fmt.Fprintf(w, "\npages of %d lines, while relaying\tof lines\tgateway\tn\tp50\tp90\tp99\tmax\n", pageLines)
		for _, p := range r.Pages {
			for _, s := range p.Places {
				fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%s\t%s\t%s\n", s.Name, p.Lines, p.Gateway, s.N, ms(s.P50), ms(s.P90), ms(s.P99), ms(s.Max))
			}
		}
		for _, p := range r.Pages {
			printBeside(w, p.Gateway, "pages are read", p.Users, p.Alone, p.Beside)
		}
	}
	for _, a := range r.Aging {
		fmt.Fprintln(w, "\nold lines removed\tthat stay\tgateway\ttook\tCPU\tdatabase before\tafter")
		fmt.Fprintf(w, "%d\t%d\t%s\t%v\t%v\t%s\t%s\n", a.Removed, a.Left, a.Gateway, a.Took.Round(time.Millisecond), a.CPU.Round(time.Millisecond),
			mib(a.BytesBefore), mib(a.BytesAfter))
		printBeside(w, a.Gateway, "lines are removed", a.Users, a.Alone, a.Beside)
	}
}

// printBeside shows how long relaying took by itself and while something else was done.
func printBeside(w io.Writer, gateway, what string, users int, alone, beside []spread) {
	fmt.Fprintf(w, "\nlatency, %d messages/s each way\t\tusers\tgateway\tn\tp50\tp90\tp99\tmax\n", latencyRate)
	for _, part := range []struct {
		when string
		ways []spread
	}{{"alone", alone}, {"while " + what, beside}} {
		for _, s := range part.ways {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\t%s\t%s\t%s\n", s.Name, part.when, users, gateway, s.N, ms(s.P50), ms(s.P90), ms(s.P99), ms(s.Max))
		}
	}
}
