-- The schema of transportd, as a fresh database gets it. A change here needs
-- an entry at the end of migrations in migrate.go that takes an older database
-- to the same place; a test compares the two.
--
-- Times are seconds since 1970. Sealed values are ciphertexts, see seal.go.

CREATE TABLE meta (
	name  TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Everybody a gateway has something stored for.
CREATE TABLE users (
	id      INTEGER PRIMARY KEY,
	gateway TEXT NOT NULL, -- component domain
	jid     TEXT NOT NULL, -- bare JID
	created INTEGER NOT NULL,
	seen    INTEGER NOT NULL,
	online  INTEGER NOT NULL DEFAULT 1 CHECK (online IN (0, 1)), -- 0: logged out
	UNIQUE (gateway, jid)
) STRICT;

CREATE TABLE preferences (
	user  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name  TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (user, name)
) STRICT, WITHOUT ROWID;

-- A registration with one network.
CREATE TABLE accounts (
	id      INTEGER PRIMARY KEY,
	user    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	network TEXT NOT NULL,
	created INTEGER NOT NULL,
	changed INTEGER NOT NULL,
	UNIQUE (user, network)
) STRICT;

CREATE TABLE settings (
	account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
	name    TEXT NOT NULL,
	sealed  INTEGER NOT NULL CHECK (sealed IN (0, 1)),
	value   BLOB NOT NULL,
	PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- Which client is in which room under which nick.
CREATE TABLE occupancies (
	user     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	resource TEXT NOT NULL,
	room     TEXT NOT NULL, -- room JID
	nick     TEXT NOT NULL,
	password BLOB,          -- sealed
	since    INTEGER NOT NULL,
	PRIMARY KEY (user, resource, room)
) STRICT, WITHOUT ROWID;

-- Presence subscriptions between a user and an address of the gateway. With
-- neither direction it is a person who has asked for the user's presence.
CREATE TABLE subscriptions (
	user     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	address  TEXT NOT NULL,
	sends    INTEGER NOT NULL CHECK (sends IN (0, 1)),    -- the address sends its presence to the user
	receives INTEGER NOT NULL CHECK (receives IN (0, 1)), -- the address gets the user's presence
	PRIMARY KEY (user, address)
) STRICT, WITHOUT ROWID;

-- Random keys that belong to a gateway, sealed.
CREATE TABLE gateway_keys (
	gateway TEXT NOT NULL,
	name    TEXT NOT NULL,
	value   BLOB NOT NULL,
	PRIMARY KEY (gateway, name)
) STRICT, WITHOUT ROWID;

-- What rooms' lines are kept in. Times in the tables from here on are microseconds
-- since 1970.
CREATE TABLE archives (
	id      INTEGER PRIMARY KEY,
	gateway TEXT NOT NULL,
	network TEXT NOT NULL,
	room    TEXT NOT NULL,              -- bridges.RoomID
	owner   INTEGER NOT NULL DEFAULT 0, -- the one listener it belongs to; 0: shared
	UNIQUE (gateway, network, room, owner)
) STRICT;

-- A user as archives know one. A number is never given twice: lines may still carry
-- that of a user who is gone.
CREATE TABLE listeners (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	"user" INTEGER NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE
) STRICT;

-- When a user heard the lines of an archive.
CREATE TABLE visits (
	listener INTEGER NOT NULL REFERENCES listeners (id) ON DELETE CASCADE,
	archive  INTEGER NOT NULL REFERENCES archives (id) ON DELETE CASCADE,
	since    INTEGER NOT NULL,
	until    INTEGER,          -- exclusive; NULL: still there
	PRIMARY KEY (listener, archive, since)
) STRICT, WITHOUT ROWID;

-- Under which room JID a user knows an archive.
CREATE TABLE views (
	listener INTEGER NOT NULL REFERENCES listeners (id) ON DELETE CASCADE,
	jid      TEXT NOT NULL,
	archive  INTEGER NOT NULL REFERENCES archives (id) ON DELETE CASCADE,
	PRIMARY KEY (listener, jid, archive)
) STRICT, WITHOUT ROWID;

CREATE TABLE lines (
	archive   INTEGER NOT NULL,
	at        INTEGER NOT NULL,
	tie       INTEGER NOT NULL,
	seen      INTEGER NOT NULL, -- 0: by who was there; n: by listener n alone; -n: not by listener n
	self      INTEGER NOT NULL CHECK (self IN (0, 1)),
	nick      TEXT NOT NULL,
	body      TEXT NOT NULL,
	id        TEXT,             -- message id
	netid     TEXT,             -- the network's name for the line
	occupant  TEXT,
	extra     BLOB,             -- further children, as XML
	edited    INTEGER NOT NULL DEFAULT 0,
	retracted INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (archive, at, tie)
) STRICT, WITHOUT ROWID;

CREATE INDEX lines_own ON lines (archive, seen, at, tie) WHERE seen > 0;

-- One-to-one lines.
CREATE TABLE privates (
	listener INTEGER NOT NULL REFERENCES listeners (id) ON DELETE CASCADE,
	at       INTEGER NOT NULL,
	tie      INTEGER NOT NULL,
	peer     TEXT NOT NULL, -- JID
	nick     TEXT NOT NULL,
	via      TEXT NOT NULL,
	id       TEXT NOT NULL,
	body     TEXT NOT NULL,
	sent     INTEGER NOT NULL CHECK (sent IN (0, 1)),    -- by the user
	pending  INTEGER NOT NULL CHECK (pending IN (0, 1)), -- has not reached the user
	netid    TEXT,                                       -- the network's name for the line
	extra    BLOB,                                       -- further children, as XML
	PRIMARY KEY (listener, at, tie)
) STRICT, WITHOUT ROWID;

CREATE INDEX privates_pending ON privates (listener, at) WHERE pending = 1;

-- What is to be deleted piece by piece: the lines of an archive, or those in it
-- that one listener alone saw.
CREATE TABLE garbage (
	archive  INTEGER NOT NULL,
	listener INTEGER NOT NULL, -- 0: all lines, and the archive
	PRIMARY KEY (archive, listener)
) STRICT, WITHOUT ROWID;

-- What a user has chosen for a room.
CREATE TABLE user_rooms (
	"user"     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	jid        TEXT NOT NULL,
	record     INTEGER CHECK (record IN (0, 1)), -- NULL: as the user's other rooms
	persistent INTEGER NOT NULL CHECK (persistent IN (0, 1)),
	nick       TEXT NOT NULL,
	password   BLOB,                             -- sealed
	PRIMARY KEY ("user", jid)
) STRICT, WITHOUT ROWID;

-- What a driver keeps of an account for itself.
CREATE TABLE account_state (
	account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
	name    TEXT NOT NULL,
	sealed  INTEGER NOT NULL CHECK (sealed IN (0, 1)),
	value   BLOB NOT NULL,
	PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- Lines by what their network calls them, where it refers to them by that: users
-- may have one each.
CREATE TABLE line_names (
	archive INTEGER NOT NULL,
	netid   TEXT NOT NULL,
	at      INTEGER NOT NULL,
	tie     INTEGER NOT NULL,
	PRIMARY KEY (archive, netid, at, tie)
) STRICT, WITHOUT ROWID;

CREATE INDEX line_names_at ON line_names (archive, at, tie);

-- By whom one-to-one lines were exchanged with.
CREATE INDEX privates_peer ON privates (listener, peer, at);
