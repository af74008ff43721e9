package store

import (
	"context"
	"database/sql"
	"iter"
	"time"

	"transportd/archive"
)

// ExportRecord is one thing that is stored of a user, ready for JSON.
type ExportRecord struct {
	Kind    string `json:"kind"` // tells the type of Data
	Gateway string `json:"gateway"`
	Data    any    `json:"data"`
}

// What Data of an ExportRecord can be. Nothing in it is secret: of passwords there
// is only that one is stored.
type (
	ExportedUser struct { // kind "user"
		JID     string    `json:"jid"`
		Created time.Time `json:"created"`
		Seen    time.Time `json:"seen"`
		Online  bool      `json:"online"`
	}
	ExportedPreference struct { // kind "preference"
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	ExportedAccount struct { // kind "account"
		Network string    `json:"network"`
		Created time.Time `json:"created"`
		Changed time.Time `json:"changed"`
	}
	ExportedSetting struct { // kind "setting", of the account with the network
		Network string `json:"network"`
		Name    string `json:"name"`
		Value   string `json:"value,omitempty"`
		Secret  bool   `json:"secret,omitempty"` // the value is not told
	}
	ExportedSubscription struct { // kind "subscription"
		Address  string `json:"address"`
		Sends    bool   `json:"sends"`
		Receives bool   `json:"receives"`
	}
	ExportedOccupancy struct { // kind "occupancy"
		Resource string    `json:"resource"`
		Room     string    `json:"room"`
		Nick     string    `json:"nick"`
		Password bool      `json:"password,omitempty"` // there is one
		Since    time.Time `json:"since"`
	}
	ExportedRoom struct { // kind "room": what the user chose for it
		JID        string `json:"jid"`
		Record     *bool  `json:"record"` // null: as the user's other rooms
		Persistent bool   `json:"persistent"`
		Nick       string `json:"nick,omitempty"`
		Password   bool   `json:"password,omitempty"` // there is one
	}
	ExportedVisit struct { // kind "visit"
		Room  string     `json:"room"` // JID
		Since time.Time  `json:"since"`
		Until *time.Time `json:"until"` // null: still there
	}
	ExportedLine struct { // kind "line"
		Room      string     `json:"room"` // JID
		ID        string     `json:"id"`
		Time      time.Time  `json:"time"`
		Nick      string     `json:"nick"`
		Self      bool       `json:"self,omitempty"`
		Body      string     `json:"body"`
		MessageID string     `json:"message_id,omitempty"`
		NetworkID string     `json:"network_id,omitempty"`
		Occupant  string     `json:"occupant,omitempty"`
		Extra     string     `json:"extra,omitempty"` // XML
		Edited    *time.Time `json:"edited,omitempty"`
		Retracted *time.Time `json:"retracted,omitempty"`
	}
	ExportedPrivate struct { // kind "private"
		ID        string    `json:"id"`
		Time      time.Time `json:"time"`
		Peer      string    `json:"peer"`
		Nick      string    `json:"nick,omitempty"`
		Via       string    `json:"via,omitempty"`
		Out       bool      `json:"out,omitempty"`
		Body      string    `json:"body"`
		MessageID string    `json:"message_id,omitempty"`
		NetworkID string    `json:"network_id,omitempty"`
		Extra     string    `json:"extra,omitempty"` // XML
		Pending   bool      `json:"pending,omitempty"`
	}
)

// Export walks through everything that is stored of a user, at one gateway or, with
// an empty domain, at all: of rooms exactly the lines the user sees. It only reads,
// needs no key file, and a transportd may be running. It reads a page at a time with
// no transaction open between two, so its reader may be slow; what changes meanwhile
// may be told or not. ErrNotFound: nobody of that name. An error ends the walk.
func Export(ctx context.Context, o Options, gateway, user string) iter.Seq2[ExportRecord, error] {
	return func(yield func(ExportRecord, error) bool) {
		db, err := openToRead(ctx, o)
		if err != nil {
			yield(ExportRecord{}, err)
			return
		}
		defer func() { _ = db.closePools() }()
		e := export{db: db, ctx: ctx, yield: yield}
		if err := e.run(gateway, user); err != nil {
			yield(ExportRecord{}, err)
		}
	}
}

// openToRead opens the readers of an existing database and nothing else: it claims
// and changes nothing, and opens no sealed value.
func openToRead(ctx context.Context, o Options) (*DB, error) {
	b, err := newBackend(o)
	if err != nil {
		return nil, err
	}
	if err := b.exists(); err != nil {
		return nil, err
	}
	db := &DB{backend: b, observe: func(string, time.Duration) {}}
	if db.read, err = b.pool(readPool); err != nil {
		return nil, db.explain("read", err)
	}
	if err := inTx(ctx, db.read, func(tx *sql.Tx) error { return checkPresent(ctx, b, tx) }); err != nil {
		_ = db.closePools()
		return nil, db.explain("read", err)
	}
	return db, nil
}

// export is one walk.
type export struct {
	db      *DB
	ctx     context.Context
	yield   func(ExportRecord, error) bool
	gateway string
	user    int64
	enough  bool // the reader wants no more
}

// tell hands over one record; false: no more are wanted.
func (e *export) tell(kind string, data any) bool {
	e.enough = e.enough || !e.yield(ExportRecord{kind, e.gateway, data}, nil)
	return !e.enough
}

func (e *export) run(gateway, jid string) error {
	type row struct {
		User
		id int64
	}
	users, err := page(e.ctx, e.db, "export", func(rows *sql.Rows) (r row, err error) {
		var created, seen int64
		err = rows.Scan(&r.id, &r.Gateway, &r.JID, &created, &seen, &r.Online)
		r.Created, r.Seen = fromUnix(created), fromUnix(seen)
		return r, err
	}, "SELECT id, "+userColumns+" FROM users WHERE jid = ? AND (? = '' OR gateway = ?) ORDER BY gateway", jid, gateway, gateway)
	if err == nil && len(users) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return err
	}
	for _, u := range users {
		e.gateway, e.user = u.Gateway, u.id
		if !e.tell("user", ExportedUser{u.JID, u.Created, u.Seen, u.Online}) {
			return nil
		}
		for _, part := range []func() error{e.few, e.rooms, e.privates} {
			if err := part(); err != nil || e.enough {
				return err
			}
		}
	}
	return nil
}

// few tells of the tables a user has few rows in.
func (e *export) few() error {
	for _, t := range fewOfUser {
		found, err := page(e.ctx, e.db, "export", t.scan, t.query, e.user)
		if err != nil {
			return err
		}
		for _, data := range found {
			if !e.tell(t.kind, data) {
				return nil
			}
		}
	}
	return nil
}

// fewOfUser are those tables: the query gets the user's number.
var fewOfUser = []struct {
	kind, query string
	scan        func(*sql.Rows) (any, error)
}{
	{"preference", `SELECT name, value FROM preferences WHERE "user" = ? ORDER BY name`, func(rows *sql.Rows) (any, error) {
		var p ExportedPreference
		err := rows.Scan(&p.Name, &p.Value)
		return p, err
	}},
	{"account", `SELECT network, created, changed FROM accounts WHERE "user" = ? ORDER BY network`, func(rows *sql.Rows) (any, error) {
		var a ExportedAccount
		var created, changed int64
		err := rows.Scan(&a.Network, &created, &changed)
		a.Created, a.Changed = fromUnix(created), fromUnix(changed)
		return a, err
	}},
	// The ciphertext of a secret stays where it is.
	{"setting", `SELECT network, name, sealed, CASE WHEN sealed = 0 THEN value END FROM settings
		JOIN accounts ON accounts.id = account WHERE "user" = ? ORDER BY network, name`, func(rows *sql.Rows) (any, error) {
		var s ExportedSetting
		var value []byte
		err := rows.Scan(&s.Network, &s.Name, &s.Secret, &value)
		s.Value = string(value)
		return s, err
	}},
	{"subscription", `SELECT address, sends, receives FROM subscriptions WHERE "user" = ? ORDER BY address`, func(rows *sql.Rows) (any, error) {
		var s ExportedSubscription
		err := rows.Scan(&s.Address, &s.Sends, &s.Receives)
		return s, err
	}},
	{"occupancy", `SELECT resource, room, nick, CASE WHEN password IS NULL THEN 0 ELSE 1 END, since FROM occupancies
		WHERE "user" = ? ORDER BY resource, room`, func(rows *sql.Rows) (any, error) {
		var o ExportedOccupancy
		var since int64
		err := rows.Scan(&o.Resource, &o.Room, &o.Nick, &o.Password, &since)
		o.Since = fromUnix(since)
		return o, err
	}},
	{"room", `SELECT jid, record, persistent, nick, CASE WHEN password IS NULL THEN 0 ELSE 1 END FROM user_rooms
		WHERE "user" = ? ORDER BY jid`, func(rows *sql.Rows) (any, error) {
		var r ExportedRoom
		var record sql.NullBool
		err := rows.Scan(&r.JID, &record, &r.Persistent, &r.Nick, &r.Password)
		if record.Valid {
			r.Record = &record.Bool
		}
		return r, err
	}},
}

// known is an archive a user knows, under the first of its JIDs.
type known struct {
	view
	jid string
}

// rooms tells when the user was where, and what was said there.
func (e *export) rooms() error {
	all, err := page(e.ctx, e.db, "export", func(rows *sql.Rows) (k known, err error) {
		var owner int64
		err = rows.Scan(&k.archive, &k.listener, &owner, &k.jid)
		k.shared = owner == 0
		return k, err
	}, `SELECT archives.id, listeners.id, owner, min(jid) FROM listeners
		JOIN views ON listener = listeners.id JOIN archives ON archives.id = archive
		WHERE "user" = ? GROUP BY archives.id, listeners.id, owner ORDER BY min(jid), archives.id`, e.user)
	if err != nil {
		return err
	}
	for _, k := range all {
		if err := e.visits(k); err != nil || e.enough {
			return err
		}
		if err := e.lines(k); err != nil || e.enough {
			return err
		}
	}
	return nil
}

func (e *export) visits(k known) error {
	after, first := int64(0), 1
	for {
		found, err := page(e.ctx, e.db, "export", func(rows *sql.Rows) (v ExportedVisit, err error) {
			var until sql.NullInt64
			if err = rows.Scan(&after, &until); until.Valid {
				v.Until = moment(until.Int64)
			}
			v.Room, v.Since = k.jid, archive.Key{At: after}.Time()
			return v, err
		}, `SELECT since, until FROM visits WHERE listener = ? AND archive = ? AND (? = 1 OR since > ?)
			ORDER BY since LIMIT ?`, k.listener, k.archive, first, after, pageSize)
		if err != nil {
			return err
		}
		for _, v := range found {
			if !e.tell("visit", v) {
				return nil
			}
		}
		if len(found) < pageSize {
			return nil
		}
		first = 0
	}
}

func (e *export) lines(k known) error {
	q := &archive.Query{Limit: pageSize}
	for {
		var found []archive.Line
		err := e.db.readArchive(e.ctx, "export", func(r *archiveRead) (err error) {
			found, err = r.page(k.view, q, q.Limit)
			return err
		})
		if err != nil {
			return err
		}
		for _, l := range found {
			if !e.tell("line", exportedLine(k.jid, &l)) {
				return nil
			}
		}
		if len(found) < q.Limit {
			return nil
		}
		q.After = found[len(found)-1].Key
	}
}

func exportedLine(room string, l *archive.Line) ExportedLine {
	return ExportedLine{Room: room, ID: l.String(), Time: l.Time(), Nick: l.Nick, Self: l.Self, Body: l.Body, MessageID: l.ID,
		NetworkID: l.NetID, Occupant: l.Occupant, Extra: string(l.Extra), Edited: moment(l.Edited), Retracted: moment(l.Retracted)}
}

// moment is a time in microseconds; nil for 0.
func moment(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := archive.Key{At: micros}.Time()
	return &t
}

func (e *export) privates() error {
	var last archive.Key
	for first := 1; ; first = 0 {
		found, err := page(e.ctx, e.db, "export", scanPrivate, "SELECT "+privateFields+`
			FROM privates JOIN listeners ON listeners.id = listener
			WHERE "user" = ? AND (? = 1 OR (at, tie) > (?, ?)) ORDER BY at, tie LIMIT ?`, e.user, first, last.At, int64(last.Tie), pageSize)
		if err != nil {
			return err
		}
		for _, p := range found {
			if !e.tell("private", ExportedPrivate{p.String(), p.Time(), p.Peer, p.Nick, p.Via, p.Out, p.Body, p.ID, p.NetID, string(p.Extra), p.Pending}) {
				return nil
			}
			last = p.Key
		}
		if len(found) < pageSize {
			return nil
		}
	}
}
