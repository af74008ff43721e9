package archive

import "time"

// What tests need of the inside.
const (
	SettleTime = settleTime
)

var (
	AppendOp = appendOp
	DecodeOp = decodeOp
)

// Kill ends what belongs to a process without anything of its polite end: the
// mapping is dropped, as by the kernel.
func Kill(a *Archive) {
	a.w.mu.Lock()
	a.w.closed = true
	close(a.w.quit)
	a.w.mu.Unlock()
	a.w.cancel()
	a.w.wg.Wait()
	a.journal.broken = true // so that close leaves it as it is
	_ = a.journal.close()
}

// SetClock replaces an archive's clock.
func SetClock(a *Archive, clock func() time.Time) { a.clock = clock }
