package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// connectTime is how long reaching a PostgreSQL server may take, where its
// address does not say.
const connectTime = 5 * time.Second

// postgres is a schema of a database on a PostgreSQL server.
type postgres struct {
	config *pgx.ConnConfig
	texts  *texts
	lock   *pgLock
	log    *slog.Logger
}

func newPostgres(o Options) (*postgres, error) {
	// The parser's error may hold the address, and that the password.
	config, err := pgx.ParseConfig(o.Postgres.Reveal())
	if err != nil {
		return nil, fmt.Errorf("open: %w: its address is not understood, it should look like postgres://user@host/database", ErrCannotOpen)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTime
	}
	for name, value := range map[string]string{
		"application_name": "transportd",
		"lock_timeout":     fmt.Sprint(busyTimeout.Milliseconds()),
	} {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &postgres{config: config, texts: &texts{}, log: log}, nil
}

func (p *postgres) label() string {
	host := p.config.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, strconv.Itoa(int(p.config.Port)))
	}
	return "PostgreSQL database " + p.config.Database + " at " + host
}

// exists leaves the answer to the server: connecting tells.
func (*postgres) exists() error { return nil }

// with returns the settings of a connection with some parameters of its own.
func (p *postgres) with(params map[string]string) *pgx.ConnConfig {
	c := p.config.Copy()
	for name, value := range params {
		c.RuntimeParams[name] = value
	}
	return c
}

func (p *postgres) pool(k poolKind) (*sql.DB, error) {
	params := map[string]string{"synchronous_commit": "on"}
	switch k {
	case batchPool:
		params["synchronous_commit"] = "off"
	case readPool:
		params["default_transaction_read_only"] = "on"
		params["default_transaction_isolation"] = "repeatable read"
	}
	pool := sql.OpenDB(newConnector(p.with(params), p.texts, k == readPool))
	sizePool(pool, k)
	return pool, nil
}

// Names of rows in meta that only PostgreSQL needs; SQLite has them in the head
// of its file.
const (
	metaApplication = "application"
	metaVersion     = "schema_version"
)

func (*postgres) state(ctx context.Context, tx *sql.Tx) (state, error) {
	var tables, columns int
	err := tx.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace),
		(SELECT count(*) FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name = 'meta' AND column_name IN ('name', 'value'))`).Scan(&tables, &columns)
	if err != nil {
		return state{}, err
	}
	if columns != 2 {
		return state{empty: tables == 0}, nil
	}
	var app, version string
	err = tx.QueryRowContext(ctx, `SELECT coalesce((SELECT value FROM meta WHERE name = ?), ''),
		coalesce((SELECT value FROM meta WHERE name = ?), '')`, metaApplication, metaVersion).Scan(&app, &version)
	if err != nil {
		return state{}, err
	}
	n, err := strconv.Atoi(version)
	return state{version: n, ours: app == "transportd" && err == nil}, nil
}

func (*postgres) stamp(ctx context.Context, tx *sql.Tx, version int) error {
	for name, value := range map[string]string{metaApplication: "transportd", metaVersion: strconv.Itoa(version)} {
		if err := setMeta(ctx, tx, name, value); err != nil {
			return err
		}
	}
	return nil
}

// sequence finds the identity column of a table and what counts it, empty for a
// table without.
func (*postgres) sequence(ctx context.Context, tx *sql.Tx, table string) (column, sequence string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT column_name, pg_get_serial_sequence(table_name, column_name) FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name = ? AND is_identity = 'YES'`, table).Scan(&column, &sequence)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return column, sequence, err
}

func (p *postgres) lastID(ctx context.Context, tx *sql.Tx, table string) (last int64, err error) {
	_, sequence, err := p.sequence(ctx, tx, table)
	if err != nil || sequence == "" {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM "+sequence).Scan(&last)
	return last, err
}

func (p *postgres) renumber(ctx context.Context, tx *sql.Tx, table string, last int64) error {
	column, sequence, err := p.sequence(ctx, tx, table)
	if err != nil || sequence == "" {
		return err
	}
	var id int64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max("+column+"), 0) FROM "+table).Scan(&id); err != nil {
		return err
	}
	if id = max(id, last); id == 0 {
		return nil // none was ever given
	}
	_, err = tx.ExecContext(ctx, "SELECT setval(CAST(? AS text)::regclass, ?)", sequence, id)
	return err
}

// words are what PostgreSQL calls otherwise, in the order they are replaced.
// Text is compared byte by byte, as SQLite does, whatever the database's locale.
var words = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`--[^\n]*`), ""},
	{regexp.MustCompile(`\bINTEGER PRIMARY KEY( AUTOINCREMENT)?`), "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"},
	{regexp.MustCompile(`\bINTEGER\b`), "BIGINT"},
	{regexp.MustCompile(`\bTEXT\b`), `TEXT COLLATE "C"`},
	{regexp.MustCompile(`\bBLOB\b`), "BYTEA"},
	{regexp.MustCompile(`\)\s*(STRICT|WITHOUT ROWID)(\s*,\s*(STRICT|WITHOUT ROWID))*`), ")"},
	{regexp.MustCompile(`"?\buser\b"?`), `"user"`},
}

func (*postgres) translate(schema string) string {
	for _, w := range words {
		schema = w.from.ReplaceAllString(schema, w.to)
	}
	return schema
}

// postgresCauses maps SQLSTATE codes to ours: a whole code, or the two letters
// of its class.
var postgresCauses = map[string]error{
	"53100": ErrDiskFull,
	"53":    ErrUnavailable, // no more connections, no memory
	"57P":   ErrUnavailable, // it is being stopped or started
	"08":    ErrUnavailable, // connections
	"28":    ErrCannotOpen,  // who we say we are
	"3D":    ErrCannotOpen,  // no such database
	"3F":    ErrCannotOpen,  // no such schema
	"55P03": ErrLocked,
	"40":    ErrLocked, // deadlock
	"25006": ErrReadOnly,
	"42501": ErrReadOnly,
	"XX001": ErrCorrupt,
	"XX002": ErrCorrupt,
}

func (*postgres) cause(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		for _, n := range []int{5, 3, 2} {
			if cause, ok := postgresCauses[pe.Code[:min(n, len(pe.Code))]]; ok {
				return cause
			}
		}
		return nil
	}
	var ce *pgconn.ConnectError
	var ne net.Error
	switch {
	case errors.As(err, &ce), errors.As(err, &ne) && !errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return ErrUnavailable
	case strings.Contains(err.Error(), "conn closed"), strings.Contains(err.Error(), "bad connection"):
		return ErrUnavailable
	}
	return nil
}
