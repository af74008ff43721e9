package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Pending is how many changes lie in a journal that the database may not have. Nobody may
// have the journal open. A file that is not there holds none.
func Pending(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	j := &journal{file: f}
	n, err := j.count()
	if err = errors.Join(err, j.close()); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

func (j *journal) count() (int, error) {
	info, err := j.file.Stat()
	if err != nil {
		return 0, err
	}
	switch ours, fresh, err := look(j.file, info.Size()); {
	case err != nil:
		return 0, err
	case fresh:
		return 0, nil
	case !ours || info.Size() < minJournalSize || info.Size() > maxJournalSize:
		return 0, errNoJournal
	}
	ops, err := j.mapped(int(info.Size()))
	return len(ops), err
}
