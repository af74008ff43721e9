package archive

import (
	"fmt"
	"slices"
	"time"
)

// salvageAfter is how often a batch is refused until its ops are tried alone.
const salvageAfter = 3

// salvage writes the ops of a batch one by one: those that cannot be stored while
// others can are at fault themselves. They are given up, so that they do not hold up
// all that come after them. It returns those that are stored.
func (w *writer) salvage(ops []Op, why error) ([]Op, error) {
	var good Op // stored; to store it once more changes nothing, and shows that the database is there
	refused, row := map[Op]error{}, 0
	begun := time.Now()
	for _, op := range ops {
		err := w.write([]Op{op})
		if err == nil {
			good, row = op, 0
			continue
		}
		refused[op] = err
		switch row++; {
		case good == nil && time.Since(begun) > writeTime:
			return nil, why
		case good != nil && row > refusedInRow:
			if w.write([]Op{good}) != nil {
				return nil, why
			}
			row = 0
		}
	}
	// The database may have been away for a moment: what it takes now is not at fault,
	// and what it does not take between two others is.
	if good == nil || w.write([]Op{good}) != nil {
		return nil, why
	}
	for op := range refused {
		if w.write([]Op{op}) == nil {
			return nil, why // and everything once more, in its order
		}
	}
	if w.write([]Op{good}) != nil {
		return nil, why
	}
	for op, err := range refused {
		w.a.refused.Add(1)
		w.a.log.Error("a change of the archive cannot be stored and is given up", "kind", fmt.Sprintf("%T", op), "err", err)
	}
	return slices.DeleteFunc(ops, func(op Op) bool { return refused[op] != nil }), nil
}

// refusedInRow is after how many refusals it is looked whether the database is there.
const refusedInRow = 3

// written is an op the database had at a time.
type written struct {
	op Op
	at time.Time
}

const (
	// rememberTime is for how long what the database has is kept, in case it forgets
	// its last moment.
	rememberTime  = 3 * time.Second
	rememberBytes = 16 << 20
)

// remember keeps ops that the database has taken in for a while, where it can forget.
// Once it may have, they are written again, with those that came before them.
func (w *writer) remember(ops []Op) error {
	epoch := w.a.backend.ArchiveEpoch()
	if epoch == 0 {
		return nil
	}
	w.lastMu.Lock()
	defer w.lastMu.Unlock()
	for w.epoch != 0 && epoch != w.epoch {
		w.epoch = epoch
		again := make([]Op, 0, len(w.last)+len(ops))
		for i := range w.last {
			again = append(again, w.last[i].op)
		}
		for again = append(again, ops...); len(again) > 0; {
			n := min(len(again), batchLimit)
			if err := w.write(again[:n]); err != nil {
				w.epoch = -1 // from the beginning
				return err
			}
			again = again[n:]
		}
		for i := range w.last {
			w.last[i].at = time.Now()
		}
		epoch = w.a.backend.ArchiveEpoch()
	}
	w.epoch = epoch
	now, size := time.Now(), 0
	for _, op := range ops {
		w.last = append(w.last, written{op, now})
	}
	keep := len(w.last)
	for keep > 0 && now.Sub(w.last[keep-1].at) < rememberTime && size < rememberBytes {
		keep--
		size += 200 + weight(w.last[keep].op)
	}
	w.last = slices.Delete(w.last, 0, keep)
	return nil
}

// unremember forgets what the database has: it is about to be deleted there.
func (w *writer) unremember() {
	w.lastMu.Lock()
	defer w.lastMu.Unlock()
	w.last = nil
}
