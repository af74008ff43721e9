-- From schema 2 to 3: what drivers keep of accounts, lines by their network's names.

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

ALTER TABLE privates ADD COLUMN netid TEXT; -- the network's name for the line
ALTER TABLE privates ADD COLUMN extra BLOB; -- further children, as XML

-- By whom one-to-one lines were exchanged with.
CREATE INDEX privates_peer ON privates (listener, peer, at);
