package store

import (
	"context"
	"database/sql"
)

// backend is one of the two databases beneath the store. Above it everything is
// the same: statements are written once, with ? for what is filled in, and
// these rules keep them right for both:
//
//   - the column "user" is written with its quotes, it is a word of SQL;
//   - ON CONFLICT, never INSERT OR REPLACE;
//   - booleans and times are integers, and there is no scalar max or min;
//   - a statement that fails ends its transaction.
type backend interface {
	// label names the database for logs and errors, without a secret.
	label() string
	// claim keeps a second transportd away until release, and makes the
	// database where that is ours to do.
	claim(ctx context.Context) error
	// settle is called once the tables are there, before anything is written.
	settle(ctx context.Context, db *sql.DB) error
	// exists tells whether there is a database to read, without making one.
	exists() error
	// intact says, before each write, why the database is not to be written to
	// now: it is no longer the one that was claimed. It does not block.
	intact() error
	// pool opens connections of a kind. It does not connect yet.
	pool(k poolKind) (*sql.DB, error)
	// state reads what is there, inside a transaction of migrate.
	state(ctx context.Context, tx *sql.Tx) (state, error)
	// stamp writes down the version of the schema.
	stamp(ctx context.Context, tx *sql.Tx, version int) error
	// lastID is the highest id a table has ever given, where such are not given
	// again when their row is gone; else 0.
	lastID(ctx context.Context, tx *sql.Tx, table string) (int64, error)
	// renumber lets a table's ids go on after last and after the highest one there
	// is, when rows were written with their ids.
	renumber(ctx context.Context, tx *sql.Tx, table string, last int64) error
	// translate turns a text of schema.sql or of a migration into this
	// database's words.
	translate(schema string) string
	// migrated is called after a migration from a version, outside a transaction.
	migrated(ctx context.Context, db *sql.DB, from int) error
	// indexed names a table in a query that is to read it through an index.
	indexed(table, index string) string
	// bytes is about how much is stored. It gets smaller when rows are deleted.
	bytes(ctx context.Context, db *DB) (int64, error)
	// giveBack returns space that deleted rows took to the disk, a little at a
	// time, as far as that is ours to do.
	giveBack(ctx context.Context, db *DB) error
	// cause finds which of our errors one of the driver's is, nil for none.
	cause(err error) error
	// release gives up what claim took.
	release() error
}

// state is what a database holds before it is opened.
type state struct {
	version int  // of the schema, 0 for none
	ours    bool // it was made by transportd
	empty   bool // nothing is there at all
}

// poolKind says what connections are for.
type poolKind int

const (
	durablePool poolKind = iota // one, on the disk at each commit
	batchPool                   // one, on the disk a little later
	readPool                    // a few that cannot write; a transaction is one snapshot
)

// poolSize is the number of connections of each kind.
var poolSize = [...]int{durablePool: 1, batchPool: 1, readPool: 4}

// newBackend chooses by the options.
func newBackend(o Options) (backend, error) {
	if o.Postgres != "" {
		return newPostgres(o)
	}
	return &sqlite{path: o.Path}, nil
}
