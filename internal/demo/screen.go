package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// screen writes for people; with colours only where they are wanted.
type screen struct {
	mu     sync.Mutex
	w      io.Writer
	colour bool
}

func newScreen(w io.Writer, colour bool) *screen { return &screen{w: w, colour: colour} }

// Colours, as SGR parameters.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	blue  = "34"
	pink  = "35"
)

func (s *screen) paint(colour, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.w, text)
}

func (s *screen) title(text string) { s.line("\n" + s.paint(bold, text) + "\n") }

func (s *screen) fail(err error) {
	s.line("\n" + s.paint(red, "The demonstration failed: ") + err.Error())
}

// pad fills text to a width in characters.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// timed tells how long it took to start something.
func (s *screen) timed(what string, f func() error) error {
	begun := time.Now()
	err := f()
	mark := s.paint(green, "✓")
	if err != nil {
		mark = s.paint(red, "✗")
	}
	s.line(fmt.Sprintf("  %s %s %6.2f s", mark, pad(what, 44), time.Since(begun).Seconds()))
	return err
}

// step shows one step on a network: who did what where, what the other side saw, and
// how long that took.
func (s *screen) step(network string, st step, took time.Duration, err error) {
	width := max(utf8.RuneCountInString(network), len("XMPP"))
	there, here := s.paint(pink, pad(network, width)), s.paint(blue, pad("XMPP", width))
	sides := map[way][2]string{toNetwork: {here, there}, toXMPP: {there, here}, onXMPP: {here, here}, onNetwork: {there, there}}[st.way]
	mark, time := s.paint(green, "✓"), fmt.Sprintf("%7.1f ms", float64(took.Microseconds())/1000)
	if err != nil {
		mark, time = s.paint(red, "✗"), s.paint(red, "missing")
	}
	s.line(fmt.Sprintf("  %s  %s %s %s  %s  %s %s %s", mark, sides[0], pad(st.who, 7), pad(st.does, 27), s.paint(dim, "→"), sides[1], pad(st.sees, 42), s.paint(dim, time)))
}

// table shows names and values in two columns.
func (s *screen) table(rows [][2]string) {
	for _, r := range rows {
		s.line("  " + s.paint(dim, pad(r[0], 17)) + r[1])
	}
}
