package irc

import (
	"context"
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// directory is the list of the network's channels. It is asked for once,
// shared by who asks meanwhile, and kept for a short while. It belongs to one
// user: a server lists secret channels to their members.
type directory struct {
	listing bool // a LIST is under way
	since   time.Time
	waiting []chan struct{} // closed at the end of it
	entries []bridges.DirectoryEntry
	err     *bridges.Error
	ready   bool
	fresh   time.Time // since when entries are whole
}

const (
	directoryFresh    = time.Minute
	directoryPatience = time.Minute // a list can be long
	maxDirectory      = 50000
)

// Rooms lists the network's channels.
func (n *network) Rooms(ctx context.Context) ([]bridges.DirectoryEntry, error) {
	done, entries, err := n.askRooms()
	if done == nil {
		return entries, err
	}
	ctx, cancel := context.WithTimeout(ctx, directoryPatience)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		return nil, bridges.NewError(bridges.Timeout, "The network did not list its channels in time.")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.directory.err != nil {
		return nil, n.directory.err
	}
	return n.directory.entries, nil
}

// askRooms returns the list where it is fresh, else what to wait for.
func (n *network) askRooms() (done chan struct{}, entries []bridges.DirectoryEntry, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online() {
		return nil, nil, errOffline()
	}
	d := &n.directory
	d.expire()
	if d.ready {
		return nil, d.entries, nil
	}
	if !d.listing || time.Since(d.since) > directoryPatience { // never answered: ask anew
		if _, err := n.write(ircconn.Line{Command: "LIST"}); err != nil {
			return nil, nil, err
		}
		d.listing, d.since, d.entries, d.err = true, time.Now(), nil, nil
	}
	done = make(chan struct{})
	d.waiting = append(d.waiting, done)
	return done, nil, nil
}

// take collects 321, 322 "me #chan members :topic" and 323. A list somebody
// has asked for by hand is theirs.
func (d *directory) take(n *network, l *line) bool {
	if !d.listing {
		return n.find(actRaw, "", "") == nil
	}
	switch l.Command {
	case "322":
		if len(l.Params) >= 3 && len(d.entries) < maxDirectory {
			d.entries = append(d.entries, bridges.DirectoryEntry{
				Name: strings.Clone(l.Param(1)), Members: atoi(l.Param(2)), Subject: listSubject(l.Param(3)),
			})
		}
	case "323":
		slices.SortFunc(d.entries, func(a, b bridges.DirectoryEntry) int {
			return strings.Compare(n.fold(a.Name), n.fold(b.Name))
		})
		d.ready, d.fresh = true, time.Now()
		n.wake(directoryFresh + time.Second) // to give the memory back
		d.end()
	}
	return true
}

// listSubject is the topic of a LIST line, without the modes that some servers
// put in front of it: "[+nt] about".
func listSubject(text string) string {
	if modes, rest, ok := strings.Cut(text, "]"); ok && strings.HasPrefix(modes, "[+") && !strings.Contains(modes, " ") {
		text = strings.TrimPrefix(rest, " ")
	}
	return strings.Clone(plainText(text))
}

func (d *directory) end() {
	for _, done := range d.waiting {
		close(done)
	}
	d.listing, d.waiting = false, nil
}

func (d *directory) fail(err *bridges.Error) {
	if d.listing {
		d.err = err
		d.end()
	}
}

// expire gives the list back when it is old.
func (d *directory) expire() {
	if d.ready && time.Since(d.fresh) > directoryFresh {
		d.ready, d.entries = false, nil
	}
}
