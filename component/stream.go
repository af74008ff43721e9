package component

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Stream is the life of one component connection (XEP-0114): it connects, logs
// in, reads, writes, finds out when the connection is dead, and begins again,
// until it is told to end. One goroutine calls [Stream.Run]; all other methods may
// be called by anybody at any time.
type Stream struct {
	cfg     StreamConfig
	domain  JID
	writer  *writer
	tracker *tracker
	fence   fence
	stats   counters

	privileges privileges
	state      StreamState // as told last; belongs to Run
}

// NewStream returns a stream that is down until [Stream.Run] is called.
func NewStream(cfg StreamConfig) *Stream {
	s := &Stream{cfg: cfg.withDefaults(), domain: JID{Domain: fold(cfg.Domain)}}
	s.writer = newWriter(s.cfg.QueueBytes, s.cfg.ReservedBytes, s.cfg.WriteTimeout, &s.stats)
	s.tracker = newTracker(&s.stats)
	return s
}

// Domain returns the component's own address.
func (s *Stream) Domain() JID { return s.domain }

// Up reports whether the stream is established.
func (s *Stream) Up() bool { return s.writer.isUp() }

// NewID returns an id that nobody can guess, for requests and messages of ours.
func (s *Stream) NewID() string { return crand.Text() }

// Send queues a stanza and takes it over. It blocks while the queue is full,
// until ctx is done; it does not wait for the stanza to be written. It returns
// [ErrDown] at once when there is no stream, a [GuardError] for a stanza that may
// not be sent, or the error of ctx. Stanzas of one caller keep their order.
func (s *Stream) Send(ctx context.Context, o *Out) error {
	return s.put(ctx, o, true)
}

// TrySend queues a stanza and takes it over, without ever blocking. It is for
// what the read loop itself answers, and may use the part of the queue that is
// reserved for this. It returns false when the stanza was not queued, which is
// counted: there was no room, no stream, or the guard refused it.
func (s *Stream) TrySend(o *Out) bool {
	err := s.put(context.Background(), o, false)
	if errors.Is(err, ErrQueueFull) {
		s.stats.dropped.Add(1)
	}
	return err == nil
}

func (s *Stream) put(ctx context.Context, o *Out, wait bool) error {
	if o == nil {
		return &GuardError{"there is no stanza"}
	}
	defer o.Release()
	if err := guard(o, s.domain.Domain); err != nil {
		s.stats.refused.Add(1)
		s.cfg.Log.Error("an outgoing stanza was refused", "reason", err, "kind", o.kind, "bytes", len(o.buf))
		return err
	}
	return s.writer.put(ctx, o, wait)
}

// Request sends an IQ get or set and reports its answer to done, exactly once:
// the result; the error, as the stanza and a [StanzaError]; [ErrTimeout];
// [ErrDown] when the stream is down or goes down before the answer; or why the
// request was not sent ([ErrQueueFull], a [GuardError]). Only an answer from the
// very address that was asked counts.
//
// Request does not block. done is called by the read loop or a timer, never by
// Request itself, and must not block.
func (s *Stream) Request(o *Out, timeout time.Duration, done func(*Stanza, error)) {
	id, peer := o.id, o.to
	fail := func(err error) { time.AfterFunc(0, func() { done(nil, err) }) }
	if o.kind != KindIQ || (o.typ != "get" && o.typ != "set") {
		o.Release()
		fail(&GuardError{"a request must be an IQ of type get or set"})
		return
	}
	if !s.tracker.add(id, peer, timeout, done) {
		o.Release()
		fail(&GuardError{"the request's id is in use"})
		return
	}
	if err := s.put(context.Background(), o, false); err != nil {
		// The stream may have gone down meanwhile and ended it already.
		if r := s.tracker.take(requestKey{id, peer}); r != nil {
			fail(err)
		}
	}
}

// steadyAfter is how long a stream must have been up for the next failure to
// count as the first.
const steadyAfter = time.Minute

// Run connects and stays connected, or keeps trying, until ctx is done. Then it
// writes what is queued, closes the stream politely and returns nil. It is called
// once.
func (s *Stream) Run(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; {
		began := time.Now()
		err := s.connection(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > steadyAfter {
			failures = 0
		}
		pause := s.pause(failures, err)
		failures++
		s.tell(err, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	s.setState(StreamState{Err: context.Cause(ctx), Text: "The stream is closed."})
	return nil
}

// hopeless are the conditions that another attempt will not cure: somebody has
// to change a configuration, or another program has taken our place.
var hopeless = map[string]string{
	"not-authorized": "The XMPP server refused the component's secret.",
	"host-unknown":   "The XMPP server does not know the component's domain.",
	"conflict":       "Another program is connected to the XMPP server with the component's domain.",
}

// pause returns how long to wait before the next attempt: doubling from
// BackoffMin to BackoffMax, with jitter so that several gateways do not come back
// in step.
func (s *Stream) pause(failures int, err error) time.Duration {
	d := s.cfg.BackoffMax
	var se *StreamError
	if !errors.As(err, &se) || hopeless[se.Condition] == "" {
		d = min(d, s.cfg.BackoffMin<<min(failures, 20))
	}
	return d/2 + rand.N(d/2+1)
}

// tell logs why the stream is down and reports it.
func (s *Stream) tell(err error, pause time.Duration) {
	text := "There is no connection to the XMPP server."
	log := s.cfg.Log.Warn
	var se *StreamError
	if errors.As(err, &se) {
		text = fmt.Sprintf("The XMPP server ended the stream (%s).", se.Condition)
		if t := hopeless[se.Condition]; t != "" {
			text, log = t, s.cfg.Log.Error
		}
	}
	log("XMPP stream down", "domain", s.domain.Domain, "server", s.cfg.Address,
		"reason", err, "text", text, "retry_in", pause.Round(time.Millisecond))
	s.setState(StreamState{Err: err, Text: text})
}

// setState tells a change.
func (s *Stream) setState(st StreamState) {
	old := s.state
	s.state = st
	if st.Up != old.Up || st.Text != old.Text {
		s.cfg.OnState(st)
	}
}
