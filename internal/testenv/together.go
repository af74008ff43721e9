package testenv

import (
	"errors"
	"sync"
)

// Together runs all at the same time and returns what went wrong, joined.
func Together(fs ...func() error) error {
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
