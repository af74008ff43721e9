package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
)

// The journal is a file of fixed size that is mapped into memory: what is copied
// there is the kernel's, and stays when the process is killed. It has two halves,
// used in turn: while one is filled, the database takes in the other.
//
//	head (4096 bytes): magic, then which database it belongs to
//	half: generation (8 bytes, 0: empty), then records
//	record: length, checksum over generation and content (4 bytes each), content
//
// A record ends where the next one does not fit its checksum. Nothing is synced:
// a power cut may cost what the database has not taken in yet.
const (
	journalHead  = 4096
	journalMagic = "transportd journal 1\n"
	recordHead   = 8

	// DefaultJournalSize is the size of the file in bytes: room for some hundred
	// thousand lines while the database cannot be written.
	DefaultJournalSize = 32 << 20
	minJournalSize     = journalHead + 2*4096
	maxJournalSize     = 1 << 30
)

// Errors of the journal.
var (
	errFull   = errors.New("archive: the journal is full")
	errBroken = errors.New("archive: the journal cannot be written any more")

	errNoJournal = errors.New("this is not a journal of transportd; move the file away if nothing else needs it")
	// ErrForeignJournal is returned for a journal with lines of another database.
	ErrForeignJournal = errors.New("the journal holds lines of another database")
)

type half struct {
	mem  []byte
	gen  uint64
	used int // bytes, generation included
	open int // records that the database has not taken in
}

// journal is safe for concurrent use.
type journal struct {
	mu      sync.Mutex
	file    *os.File
	mem     []byte
	halves  [2]half
	active  int
	gen     uint64
	scratch []byte
	broken  bool
	waited  atomic.Bool // somebody has waited in vain for the database since it took in something
	crowded atomic.Bool // half of the active half is used, and the database still has to take in the other
}

// openJournal opens or makes the journal of a database, and returns the ops in it
// that the database may not have. Only one process may have it open; whoever
// opens the database sees to that.
func openJournal(path, database string, size int) (*journal, []Op, error) {
	if size < minJournalSize {
		size = DefaultJournalSize
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, err
	}
	j := &journal{file: f}
	ops, err := j.attach(database, size)
	if err != nil {
		_ = j.close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, ops, nil
}

func (j *journal) attach(database string, size int) ([]Op, error) {
	info, err := j.file.Stat()
	if err != nil {
		return nil, err
	}
	ours, fresh, err := look(j.file, info.Size())
	if err != nil {
		return nil, err
	}
	sized := info.Size() >= minJournalSize && info.Size() <= maxJournalSize
	if !fresh && !(ours && sized) {
		return nil, errNoJournal
	}
	var ops []Op
	if sized {
		if ops, err = j.mapped(int(info.Size())); err != nil {
			return nil, err
		}
	}
	if fresh && len(ops) > 0 {
		return nil, errNoJournal // nobody knows of which database
	}
	owner := sha256.Sum256([]byte(database))
	if fresh {
		return nil, j.create(size, owner[:])
	}
	// The file may have been another database's, which has everything.
	whose := j.mem[len(journalMagic):journalHead][:len(owner)]
	if string(whose) != string(owner[:]) {
		if len(ops) > 0 {
			return nil, ErrForeignJournal
		}
		copy(whose, owner[:])
	}
	return ops, nil
}

// mapped maps the file into memory and reads what it holds.
func (j *journal) mapped(size int) (ops []Op, err error) {
	if j.mem, err = syscall.Mmap(int(j.file.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map into memory: %w", err)
	}
	part := (size - journalHead) / 2
	for i := range j.halves {
		j.halves[i] = half{mem: j.mem[journalHead+i*part : journalHead+(i+1)*part]}
	}
	return j.replay()
}

// create makes the file anew. Zeros are written, not left out: a hole in it could find
// the disk full when memory is written, which nothing could answer. The head comes
// last, and what is not complete is made again by the next start.
func (j *journal) create(size int, owner []byte) error {
	if j.mem != nil {
		if err := syscall.Munmap(j.mem); err != nil {
			return err
		}
		j.mem = nil
	}
	if err := zeros(j.file, size); err != nil {
		_ = j.file.Truncate(0)
		return err
	}
	if _, err := j.file.WriteAt(append([]byte(journalMagic), owner...), 0); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	_, err := j.mapped(size)
	return err
}

// look tells whether a file begins as a journal; or whether it is fresh: empty, or one
// whose making was cut off, with nothing but zeros in its head or a beginning of what
// belongs there.
func look(f *os.File, size int64) (ours, fresh bool, err error) {
	head := make([]byte, min(size, journalHead))
	if _, err := f.ReadAt(head, 0); err != nil {
		return false, false, err
	}
	known := 0
	for known < min(len(head), len(journalMagic)) && head[known] == journalMagic[known] {
		known++
	}
	if known == len(journalMagic) {
		return true, false, nil
	}
	return false, !bytes.ContainsFunc(head[known:], func(r rune) bool { return r != 0 }), nil
}

func zeros(f *os.File, size int) error {
	if err := f.Truncate(int64(size)); err != nil {
		return err
	}
	chunk := make([]byte, 1<<16)
	for off := 0; off < size; off += len(chunk) {
		if _, err := f.WriteAt(chunk[:min(len(chunk), size-off)], int64(off)); err != nil {
			return err
		}
	}
	return f.Sync()
}

// replay reads what both halves hold, the older one first. They stay as they are
// until release says that the database has it.
func (j *journal) replay() ([]Op, error) {
	order := [2]int{0, 1}
	for i := range j.halves {
		j.halves[i].gen = binary.BigEndian.Uint64(j.halves[i].mem)
	}
	if j.halves[0].gen > j.halves[1].gen {
		order = [2]int{1, 0}
	}
	var ops []Op
	for _, i := range order {
		h := &j.halves[i]
		h.used = 8
		if h.gen == 0 {
			continue
		}
		j.gen = max(j.gen, h.gen)
		for {
			content, ok := h.record(h.used)
			if !ok {
				break
			}
			op, err := decodeOp(content)
			if err != nil {
				return nil, err
			}
			ops = append(ops, op)
			h.open++
			h.used += recordHead + len(content)
		}
	}
	j.active = order[1]
	return ops, nil
}

// record returns the content of the record at an offset; false where there is
// none.
func (h *half) record(at int) ([]byte, bool) {
	if at+recordHead > len(h.mem) {
		return nil, false
	}
	n := int(binary.BigEndian.Uint32(h.mem[at:]))
	if n == 0 || n > len(h.mem)-at-recordHead {
		return nil, false
	}
	content := h.mem[at+recordHead : at+recordHead+n]
	if binary.BigEndian.Uint32(h.mem[at+4:]) != checksum(h.gen, content) {
		return nil, false
	}
	return content, true
}

func checksum(gen uint64, content []byte) uint32 {
	return crc32.Update(uint32(gen)*2654435761, crc32.IEEETable, content)
}

// append stores an op. When it returns nil the op outlives the process. errFull:
// the database has not taken in enough of what came before.
func (j *journal) append(op Op) (in int, err error) {
	fault := j.touch(func() { in, err = j.add(op) })
	return in, errors.Join(fault, err)
}

// touch runs f, which reads or writes the file's memory. A page that cannot be had (a
// broken disk, a file cut off under us) faults: that is an error like another and no
// crash.
func (j *journal) touch(f func()) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return errBroken
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			j.broken, err = true, errBroken
		}
	}()
	f()
	return nil
}

func (j *journal) add(op Op) (in int, err error) {
	j.scratch = appendOp(j.scratch[:0], op)
	h := &j.halves[j.active]
	need := recordHead + len(j.scratch)
	if h.gen == 0 || h.used+need > len(h.mem) {
		if err := j.turn(need); err != nil {
			return 0, err
		}
		h = &j.halves[j.active]
	}
	at := h.mem[h.used:]
	copy(at[recordHead:], j.scratch)
	binary.BigEndian.PutUint32(at[4:], checksum(h.gen, j.scratch))
	binary.BigEndian.PutUint32(at, uint32(len(j.scratch)))
	h.used += need
	h.open++
	if h.used > len(h.mem)/2 && j.halves[1-j.active].open > 0 {
		j.crowded.Store(true)
	}
	if cap(j.scratch) > 1<<16 {
		j.scratch = nil
	}
	return j.active, nil
}

// turn begins the next half, or the same one anew where nothing in it is needed.
func (j *journal) turn(need int) error {
	next := j.active
	if j.halves[next].open > 0 {
		next = 1 - next
	}
	h := &j.halves[next]
	if h.open > 0 || 8+need > len(h.mem) {
		return errFull
	}
	j.begin(h)
	j.active = next
	return nil
}

func (j *journal) begin(h *half) {
	j.gen++
	h.gen, h.used = j.gen, 8
	binary.BigEndian.PutUint64(h.mem, h.gen)
}

// release says that the database has taken in so many records of each half.
func (j *journal) release(n [2]int) {
	_ = j.touch(func() {
		for i := range j.halves {
			h := &j.halves[i]
			h.open -= n[i]
			if h.open > 0 || h.gen == 0 {
				continue
			}
			if i != j.active || h.used > len(h.mem)/4 {
				h.empty()
			}
		}
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waited.Store(false)
	if j.halves[1-j.active].open == 0 {
		j.crowded.Store(false)
	}
}

// clear empties the halves of which the database has everything.
func (j *journal) clear() {
	_ = j.touch(func() {
		for i := range j.halves {
			j.halves[i].empty()
		}
	})
}

// empty makes a half's records not fit its generation any more, where the database
// has them all.
func (h *half) empty() {
	if h.open == 0 && h.gen != 0 {
		h.gen, h.used = 0, 8
		binary.BigEndian.PutUint64(h.mem, 0)
	}
}

// pending counts the records of each half.
func (j *journal) pending() [2]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return [2]int{j.halves[0].open, j.halves[1].open}
}

// fill is the part of the journal that is in use, 0 to 1.
func (j *journal) fill() float64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	used, all := 0, 0
	for i := range j.halves {
		h := &j.halves[i]
		all += len(h.mem)
		if h.open > 0 {
			used += h.used
		}
	}
	return float64(used) / float64(all)
}

// close gives the file back. What the database has not taken in stays.
func (j *journal) close() error {
	j.clear()
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if j.mem != nil {
		j.broken = true
		err = syscall.Munmap(j.mem)
		j.mem = nil
	}
	return errors.Join(err, j.file.Close())
}
