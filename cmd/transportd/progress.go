package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"transportd/store"
)

// progressBar tells how far a copy is: on a terminal a line that is drawn anew,
// elsewhere a line for each table and every ten seconds.
type progressBar struct {
	out      io.Writer
	terminal bool
	table    string
	begun    time.Time // of the table
	drawn    time.Time
	complete bool // its last line has been told
	open     bool // a line without its end is on the terminal
}

func newProgressBar(out io.Writer) *progressBar {
	p := &progressBar{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progressBar) report(c store.CopyProgress) {
	now := time.Now()
	if c.Table != p.table {
		p.end()
		p.table, p.begun, p.drawn, p.complete = c.Table, now, time.Time{}, false
	}
	every := 10 * time.Second
	if p.terminal {
		every = 100 * time.Millisecond
	}
	complete := c.Done == c.Total
	if p.complete || !complete && now.Sub(p.drawn) < every {
		return
	}
	p.drawn, p.complete = now, complete
	line := progressLine(c, now.Sub(p.begun))
	if !p.terminal {
		_, _ = fmt.Fprintln(p.out, line)
		return
	}
	_, _ = fmt.Fprintf(p.out, "\r%s\x1b[K", line)
	p.open = true
}

// end finishes the line that is being drawn.
func (p *progressBar) end() {
	if p.open {
		_, _ = fmt.Fprintln(p.out)
		p.open = false
	}
}

func progressLine(c store.CopyProgress, took time.Duration) string {
	const width = 20
	percent, full := int64(100), width
	if c.Total > 0 {
		percent, full = 100*c.Done/c.Total, int(width*c.Done/c.Total)
	}
	line := fmt.Sprintf("%-14s [%s%s] %3d%% %d of %d rows", c.Table, strings.Repeat("#", full), strings.Repeat(".", width-full), percent, c.Done, c.Total)
	if took >= time.Second {
		line += fmt.Sprintf(", %d a second", int64(float64(c.Done)/took.Seconds()))
	}
	return line
}
