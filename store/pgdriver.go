package store

import (
	"context"
	"database/sql/driver"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// texts remembers statements with their placeholders rewritten. There are as
// many as the program has statements.
type texts struct{ known sync.Map }

// of returns a statement with $1, $2 … for its question marks, those in quotes
// left alone.
func (t *texts) of(query string) string {
	if text, ok := t.known.Load(query); ok {
		return text.(string)
	}
	var b strings.Builder
	n, quote := 0, rune(0)
	for _, r := range query {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '?':
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteRune(r)
	}
	t.known.Store(query, b.String())
	return b.String()
}

// connector makes connections that understand what the rest of the store writes.
type connector struct {
	driver.Connector
	texts    *texts
	readOnly bool
}

func newConnector(config *pgx.ConnConfig, t *texts, readOnly bool) *connector {
	return &connector{Connector: stdlib.GetConnector(*config), texts: t, readOnly: readOnly}
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &pgConn{Conn: inner.(*stdlib.Conn), texts: c.texts, readOnly: c.readOnly}, nil
}

// pgConn is a connection with SQLite's way of writing placeholders and booleans.
type pgConn struct {
	*stdlib.Conn
	texts    *texts
	readOnly bool
}

// again has database/sql take another connection when this one turns out to be
// dead and nothing was changed through it.
func (c *pgConn) again(err error, harmless bool) error {
	if err != nil && harmless && c.Conn.Conn().IsClosed() {
		return driver.ErrBadConn
	}
	return err
}

// BeginTx implements driver.ConnBeginTx.
func (c *pgConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.BeginTx(ctx, opts)
	return tx, c.again(err, true)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *pgConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.PrepareContext(ctx, c.texts.of(query))
}

// ExecContext implements driver.ExecerContext.
func (c *pgConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.ExecContext(ctx, c.texts.of(query), args)
}

// QueryContext implements driver.QueryerContext.
func (c *pgConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.QueryContext(ctx, c.texts.of(query), args)
	return rows, c.again(err, c.readOnly)
}

// CheckNamedValue implements driver.NamedValueChecker. Booleans are integers in
// the schema, and text is made such that PostgreSQL can hold it: neither XMPP
// nor IRC can bring a NUL or broken UTF-8 this far, and one that came all the
// same must not fail the batch of everybody.
func (c *pgConn) CheckNamedValue(v *driver.NamedValue) error {
	switch value := v.Value.(type) {
	case bool:
		v.Value = int64(0)
		if value {
			v.Value = int64(1)
		}
	case string:
		v.Value = plainText(value)
	}
	return nil
}

// plainText is a text without what PostgreSQL refuses: NUL, and bytes that are
// not UTF-8.
func plainText(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}
