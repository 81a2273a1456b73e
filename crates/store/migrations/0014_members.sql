-- Who uses the console and the admin API over the network. What a browser or a program holds is kept as a keyed hash only.

CREATE TABLE member (
    id      TEXT    NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL,
    roles   TEXT    NOT NULL CHECK (json_valid(roles)),
    key     TEXT    NOT NULL,
    created INTEGER NOT NULL,
    removed INTEGER
) STRICT;
CREATE UNIQUE INDEX member_name ON member (name) WHERE removed IS NULL;
CREATE UNIQUE INDEX member_key ON member (key) WHERE removed IS NULL;

CREATE TABLE session (
    id    TEXT    NOT NULL PRIMARY KEY,
    hash  TEXT    NOT NULL UNIQUE,
    name  TEXT    NOT NULL,
    key   TEXT,
    roles TEXT    NOT NULL CHECK (json_valid(roles)),
    begun INTEGER NOT NULL,
    used  INTEGER NOT NULL,
    ends  INTEGER NOT NULL
) STRICT;

CREATE TABLE api_token (
    id      TEXT    NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL,
    hash    TEXT    NOT NULL UNIQUE,
    roles   TEXT    NOT NULL CHECK (json_valid(roles)),
    owner   TEXT    NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER
) STRICT;
CREATE UNIQUE INDEX api_token_name ON api_token (name) WHERE revoked IS NULL;
