package irc

import (
	"context"

	"transportd/bridges/irc/ircconn"
)

// farewell ends a connection politely when the context of Run ends. Events of
// the last moments are still handed over while the server is left: what it
// confirms then has been said.
type farewell struct {
	n       *network
	conn    *ircconn.Conn
	lasting context.Context // outlives that of Run
	cancel  context.CancelFunc
	served  chan struct{} // closed when nothing is read any more
	left    chan struct{} // closed when the server has been left
	stop    func() bool
}

func (n *network) farewell(ctx context.Context, conn *ircconn.Conn) *farewell {
	f := &farewell{n: n, conn: conn, served: make(chan struct{}), left: make(chan struct{})}
	f.lasting, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	f.stop = context.AfterFunc(ctx, func() {
		n.sink.Go(func(context.Context) { f.leave() }) // where a panic costs one link
	})
	return f
}

func (f *farewell) leave() {
	defer close(f.left)
	patience, done := context.WithTimeout(f.lasting, quitPatience)
	defer done()
	f.conn.Quit(patience, f.n.set.quit)
	f.conn.Close()
	select {
	case <-f.served:
	case <-patience.Done():
		f.cancel() // nobody takes the events any more
	}
}

// end is called when reading has ended with err, and returns what Run does.
func (f *farewell) end(err error) error {
	defer f.cancel()
	f.n.detach(f.lasting)
	close(f.served)
	if !f.stop() {
		f.conn.Close()
		<-f.left
		return nil
	}
	return err
}
