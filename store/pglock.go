package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	lockPatience = 2 * time.Second        // for a process that is just ending
	lockRetry    = 250 * time.Millisecond // between attempts
	lockCheck    = 10 * time.Second       // how late a connection that hangs is noticed
	metaOwner    = "owner"
)

// pgLock keeps a second transportd away from a database: an advisory lock,
// which lives as long as the connection that took it. One goroutine watches
// that connection. When it is lost nothing is written until the lock is taken
// again, and never more when another transportd has had it in between: what
// this one has in mind is old then.
type pgLock struct {
	config *pgx.ConnConfig
	log    *slog.Logger
	token  string // of this process, in meta while it is the owner

	lost   atomic.Pointer[error] // why nothing may be written now
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended
}

// claim takes the lock and begins to watch it.
func (p *postgres) claim(ctx context.Context) error {
	l := &pgLock{config: p.with(nil), log: p.log, token: rand.Text(), done: make(chan struct{})}
	conn, err := l.take(ctx, lockPatience)
	if err != nil {
		return explain(p, "open", err)
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	go func() {
		defer close(l.done)
		l.watch(watching, conn)
	}()
	p.lock = l
	return nil
}

// settle writes down who owns the database, once it has its tables.
func (p *postgres) settle(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := setMeta(ctx, tx, metaOwner, p.lock.token); err != nil {
		return err
	}
	return tx.Commit()
}

func (p *postgres) intact() error {
	if p.lock == nil {
		return nil
	}
	if err := p.lock.lost.Load(); err != nil {
		return *err
	}
	return nil
}

func (p *postgres) release() error {
	if p.lock != nil {
		p.lock.cancel()
		<-p.lock.done
	}
	return nil
}

// take connects and takes the lock, trying for some time while another has it.
func (l *pgLock) take(ctx context.Context, patience time.Duration) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return nil, err
	}
	if err := l.lock(ctx, conn, patience); err != nil {
		hangUp(conn)
		return nil, err
	}
	return conn, nil
}

// lock takes the lock through a connection.
func (l *pgLock) lock(ctx context.Context, conn *pgx.Conn, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; {
		var taken, nowhere bool
		// A lock for each schema: several databases may share a PostgreSQL one.
		err := conn.QueryRow(ctx, "SELECT current_schema() IS NULL, pg_try_advisory_lock($1, hashtext(coalesce(current_schema(), '')))",
			int32(applicationID)).Scan(&nowhere, &taken)
		switch {
		case err == nil && nowhere:
			err = fmt.Errorf("%w: there is no schema of its search_path", ErrCannotOpen)
		case err == nil && taken:
			return nil
		case err == nil && !time.Now().Before(deadline):
			err = ErrInUse
		case err == nil:
			err = pause(ctx, lockRetry)
		}
		if err != nil {
			return err
		}
	}
}

// watch holds the lock until ctx ends.
func (l *pgLock) watch(ctx context.Context, conn *pgx.Conn) {
	for {
		err := stay(ctx, conn)
		lost := conn.PgConn().PID()
		hangUp(conn)
		if ctx.Err() != nil {
			return
		}
		l.block(fmt.Errorf("%w: the connection that holds its lock was lost (%w)", ErrUnavailable, err))
		l.log.Error("the connection that keeps other transportds away from the database was lost; nothing is written until the lock is held again", "err", err)
		if conn, err = l.regain(ctx, lost); err != nil {
			if ctx.Err() == nil {
				l.block(err)
				l.log.Error("another transportd has taken the database over; nothing more is written, end one of the two and restart the other", "err", err)
			}
			return
		}
		l.lost.Store(nil)
		l.log.Info("the database is held again")
	}
}

func (l *pgLock) block(err error) { l.lost.Store(&err) }

// stay returns when the connection is lost, or ctx ends.
func stay(ctx context.Context, conn *pgx.Conn) error {
	for {
		quiet, cancel := context.WithTimeout(ctx, lockCheck)
		_, err := conn.WaitForNotification(quiet)
		cancel()
		if ctx.Err() != nil || err != nil && !pgconn.Timeout(err) {
			return err
		}
		answer, cancel := context.WithTimeout(ctx, busyTimeout)
		err = conn.Ping(answer)
		cancel()
		if err != nil {
			return err
		}
	}
}

// regain tries until the lock is held again. The error, other than the
// context's, is that another transportd has had it. That somebody holds it is no
// proof of that: the server may not have noticed yet that our own connection is
// gone, so that one is ended there.
func (l *pgLock) regain(ctx context.Context, lost uint32) (*pgx.Conn, error) {
	for {
		conn, err := l.attempt(ctx, lost)
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, errTakenOver):
			return nil, err
		case errors.Is(err, ErrInUse):
			l.block(err)
		}
		if err := pause(ctx, lockRetry); err != nil {
			return nil, err
		}
	}
}

// errTakenOver: what this process knows is old.
var errTakenOver = fmt.Errorf("%w, which has had it in between", ErrInUse)

func (l *pgLock) attempt(ctx context.Context, lost uint32) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*busyTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return nil, err
	}
	if _, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND classid = $2
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, int32(lost), int64(applicationID)); err == nil {
		if err = l.lock(ctx, conn, 0); err == nil {
			err = l.stillOurs(ctx, conn)
		}
	}
	if err != nil {
		hangUp(conn)
		return nil, err
	}
	return conn, nil
}

// stillOurs tells whether nobody else has owned the database since.
func (l *pgLock) stillOurs(ctx context.Context, conn *pgx.Conn) error {
	var owner string
	if err := conn.QueryRow(ctx, "SELECT value FROM meta WHERE name = $1", metaOwner).Scan(&owner); err != nil {
		return err
	}
	if owner != l.token {
		return errTakenOver
	}
	return nil
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
