package component

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestWorkersKeepTheirBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorkers(2, 10, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { _ = w.Run(ctx); close(ended) }()
		gate := make(chan struct{})
		block := func(context.Context) { <-gate }
		romeo, juliet := JID{Local: "romeo", Domain: "b"}, JID{Local: "juliet", Domain: "b"}
		for i := range maxUserWork {
			if !w.Go(romeo.WithResource(fmt.Sprint(i)), "", block) {
				t.Fatalf("job %d of a user refused", i)
			}
		}
		if w.Go(romeo, "", block) {
			t.Error("a user may fill the queue")
		}
		for range 2 {
			if !w.Go(juliet, "", block) {
				t.Error("another user is refused")
			}
		}
		if w.Go(juliet, "", block) {
			t.Error("the queue has no end")
		}
		close(gate)
		synctest.Wait()

		var order []int
		for i := range 5 {
			w.Go(juliet, "lane", func(context.Context) {
				if i == 1 {
					panic("one bad job")
				}
				time.Sleep(time.Duration(5-i) * time.Second)
				order = append(order, i)
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if fmt.Sprint(order) != "[0 2 3 4]" {
			t.Errorf("a lane was done in the order %v", order)
		}
		done := make(chan error, 1)
		w.Go(juliet, "", func(ctx context.Context) { <-ctx.Done(); done <- ctx.Err() })
		synctest.Wait()
		cancel()
		if <-done == nil {
			t.Error("a job does not learn that the program ends")
		}
		<-ended
		if w.Go(juliet, "", block) {
			t.Error("a job is taken after the end")
		}
	})
}
