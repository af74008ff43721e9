-- The schema of version 1, frozen. Do not edit: it stands for databases that exist.

CREATE TABLE meta (
	name  TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

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

CREATE TABLE occupancies (
	user     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	resource TEXT NOT NULL,
	room     TEXT NOT NULL, -- room JID
	nick     TEXT NOT NULL,
	password BLOB,          -- sealed
	since    INTEGER NOT NULL,
	PRIMARY KEY (user, resource, room)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscriptions (
	user     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	address  TEXT NOT NULL,
	sends    INTEGER NOT NULL CHECK (sends IN (0, 1)),    -- the address sends its presence to the user
	receives INTEGER NOT NULL CHECK (receives IN (0, 1)), -- the address gets the user's presence
	PRIMARY KEY (user, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE gateway_keys (
	gateway TEXT NOT NULL,
	name    TEXT NOT NULL,
	value   BLOB NOT NULL,
	PRIMARY KEY (gateway, name)
) STRICT, WITHOUT ROWID;
