package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"transportd/archive"
	"transportd/store"
)

// archiveSuffix marks a gateway that is measured with its archive on.
const archiveSuffix = "+archive"

func archiveName(kind string, archived bool) string {
	if archived {
		return kind + archiveSuffix
	}
	return kind
}

// withArchives puts behind each gateway the same one with its archive on.
func withArchives(gateways []string) []string {
	var out []string
	for _, g := range gateways {
		out = append(out, g)
		if g != "null" && !strings.HasSuffix(g, archiveSuffix) {
			out = append(out, g+archiveSuffix)
		}
	}
	return out
}

// onOff is a flag that is on or off.
func onOff(to *bool) func(string) error {
	return func(s string) error {
		if s != "on" && s != "off" {
			return fmt.Errorf("%q is neither on nor off", s)
		}
		*to = s == "on"
		return nil
	}
}

// compare sets what a gateway with its archive on needs beside the same one with its archive off, if that is among the rows.
func (t *throughputRow) compare(rows []*throughputRow) {
	kind, archived := strings.CutSuffix(t.Gateway, archiveSuffix)
	if !archived {
		return
	}
	for _, off := range rows {
		if off.Gateway != kind || len(off.Rounds) != len(t.Rounds) {
			continue
		}
		var ratio []float64
		for i, r := range t.Rounds {
			ratio = append(ratio, r.cpuPerMessage()/off.Rounds[i].cpuPerMessage())
		}
		t.ArchiveRatio = median(ratio)
	}
}

func (t *throughputRow) archiveRatio() string {
	if t.ArchiveRatio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", t.ArchiveRatio)
}

// archiveReader is what the archive of a gateway that has ended is read from.
type archiveReader interface {
	ArchiveLines(ctx context.Context, q *archive.Query) (lines []archive.Line, more bool, err error)
}

// checkArchive ends a transportd and looks whether its archive has every line exactly once and in order, or none where it is
// off. Of a shared room the first and the last user are asked.
func (r *rig) checkArchive(ctx context.Context, row *throughputRow) error {
	if _, ok := r.sub.(transportdSubject); !ok {
		return nil
	}
	var err error
	row.Recorded, err = r.readBack(ctx)
	return err
}

// readBack ends a transportd and counts the lines in its archive, as checkArchive says.
func (r *rig) readBack(ctx context.Context) (n int, err error) {
	t, ok := r.sub.(transportdSubject)
	if !ok {
		return 0, errors.New("only transportd's archive can be read")
	}
	r.close()
	db, err := store.Open(ctx, store.Options{Path: databaseFile(r.dir), KeyFile: keyFile(r.dir)})
	if err != nil {
		return 0, fmt.Errorf("the archive: %w", err)
	}
	n, err = r.readArchive(ctx, db, t.archive)
	if err2 := db.Close(); err == nil {
		err = err2
	}
	return n, err
}

// readArchive counts the lines in the archive and reports those that are missing or too many.
func (r *rig) readArchive(ctx context.Context, db archiveReader, on bool) (total int, err error) {
	users := r.users[1:]
	if r.shared && len(users) > 2 {
		users = []*user{users[0], users[len(users)-1]}
	}
	for _, u := range users {
		tracks := make([]track, len(r.users)) // by sender
		n, err := r.readRoom(ctx, db, u, tracks)
		total += n
		if err != nil {
			return total, fmt.Errorf("the archive of user %d: %w", u.number, err)
		}
		if !on {
			if n > 0 {
				r.led.report(faultUnrecorded, uint64(n), "%d lines of user %d recorded with the archive off", n, u.number)
			}
			continue
		}
		for sender := range tracks {
			said := r.saidTo(u, sender)
			if !r.shared && tracks[sender].next > said {
				r.led.report(faultUnrecorded, 1, "the archive of user %d has more of sender %d than was said", u.number, sender)
			}
			if n, first := tracks[sender].absent(said); n > 0 {
				r.led.report(faultUnrecorded, n, "%d lines of sender %d, message %d the first, are not in the archive of user %d", n, sender, first, u.number)
			}
		}
	}
	if on && r.old != nil {
		r.old.accountReturned(&r.led)
	}
	return total, r.led.err()
}

// absent is how many of the first said messages have not been seen, and the number of one of them. There may be later ones: in
// a shared room the others have heard more.
func (t *track) absent(said uint64) (n, first uint64) {
	first = min(t.next, said)
	n = said - first
	for seq := range t.missing {
		if seq < said {
			n, first = n+1, min(first, seq)
		}
	}
	return n, first
}

// saidTo is how many lines of that sender's a user was shown.
func (r *rig) saidTo(u *user, sender int) uint64 {
	switch {
	case sender == 0:
		return u.sentBob
	case sender == u.number || r.shared:
		return r.users[sender].sentSelf
	}
	return 0
}

// archivePage is how many lines are read at once.
const archivePage = 2000

// readRoom reads what a user's room has in the archive and enters the load program's own lines in the tracks of their senders.
func (r *rig) readRoom(ctx context.Context, db archiveReader, u *user, tracks []track) (n int, err error) {
	q := archive.Query{Gateway: gatewayDomain, User: u.name + "@" + userDomain, JID: u.room, Limit: archivePage}
	for more := true; more; {
		var lines []archive.Line
		if lines, more, err = db.ArchiveLines(ctx, &q); err != nil {
			return n, err
		}
		for _, l := range lines {
			b, err := parseBody([]byte(l.Body))
			if err == nil && r.old != nil && b.sender == backlogSender {
				r.old.returned(&r.led, u, &l, b.seq)
				q.After = l.Key
				continue
			}
			if err != nil || b.sender >= len(tracks) {
				r.led.report(faultUnrecorded, 1, "the archive has a line nobody has said: %.100q", l.Body)
				continue
			}
			n++
			if _, f := tracks[b.sender].see(b.seq); f != "" {
				r.led.report(faultUnrecorded, 1, "the archive of user %d: sender %d, message %d %s", u.number, b.sender, b.seq, f)
			}
			q.After = l.Key
		}
		more = more && len(lines) > 0
	}
	return n, nil
}
