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

-- Presence subscriptions between a user and an address of the gateway.
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
