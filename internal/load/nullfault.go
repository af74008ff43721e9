package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// faults is what the relay does wrong when it is asked to, so that tests can see the accounts notice it.
type faults struct {
	any                      bool
	line, reflection, stanza misdeed
}

// misdeed is one thing done wrong to one message of a direction. It belongs to who holds the lock of the outbox it fills.
type misdeed struct {
	kind string // "", lose, double, swap, alter
	at   int    // which message, counted from 1
	seen int
	held []byte
}

// parseFaults reads "kind@direction=n".
func parseFaults(s string) (faults, error) {
	if s == "" {
		return faults{}, nil
	}
	kind, rest, _ := strings.Cut(s, "@")
	direction, number, _ := strings.Cut(rest, "=")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return faults{}, fmt.Errorf("fault %q: which message?", s)
	}
	m := misdeed{kind: kind, at: n}
	switch kind {
	case "lose", "double", "swap", "alter":
	default:
		return faults{}, fmt.Errorf("fault %q: lose, double, swap or alter", s)
	}
	f := faults{any: true}
	switch direction {
	case "line":
		f.line = m
	case "reflection":
		f.reflection = m
	case "stanza":
		f.stanza = m
	default:
		return faults{}, fmt.Errorf("fault %q: line, reflection or stanza", s)
	}
	return f, nil
}

// copies appends a message as often, and in the order, that the misdeed wants.
func (m *misdeed) copies(o, head, body, tail []byte) []byte {
	whole := bytes.Join([][]byte{head, body, tail}, nil)
	if m.held != nil {
		whole, m.held = append(whole, m.held...), nil
	}
	if m.seen++; m.seen == m.at {
		switch m.kind {
		case "lose":
			return o
		case "double":
			return append(append(o, whole...), whole...)
		case "swap":
			m.held = whole
			return o
		case "alter":
			return append(o, bytes.Replace(whole, []byte("fox"), []byte("cat"), 1)...)
		}
	}
	return append(o, whole...)
}
