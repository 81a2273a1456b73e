-- Credentials, workloads, placeholders, approvals. Times are milliseconds since 1970; absent means "not (yet)".

CREATE TABLE credential (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    destinations TEXT    NOT NULL CHECK (json_valid(destinations)),
    shape        TEXT    NOT NULL CHECK (json_valid(shape)),
    generation   INTEGER NOT NULL CHECK (generation >= 1),
    sealed       BLOB    NOT NULL,
    created      INTEGER NOT NULL,
    rotated      INTEGER NOT NULL,
    removed      INTEGER,
    CHECK (removed IS NULL OR length(sealed) = 0)
) STRICT;
CREATE UNIQUE INDEX credential_name ON credential (name) WHERE removed IS NULL;

CREATE TABLE workload (
    id      TEXT    NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    created INTEGER NOT NULL,
    removed INTEGER
) STRICT;
CREATE UNIQUE INDEX workload_name ON workload (name) WHERE removed IS NULL;

CREATE TABLE placeholder (
    id         TEXT    NOT NULL PRIMARY KEY,
    credential TEXT    NOT NULL REFERENCES credential (id),
    workload   TEXT    NOT NULL REFERENCES workload (id),
    core       TEXT    NOT NULL UNIQUE,
    text       TEXT    NOT NULL UNIQUE,
    policy     TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER,
    uses       INTEGER,
    used       INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'active', 'denied', 'revoked')),
    CHECK (uses IS NULL OR used <= uses)
) STRICT;
CREATE INDEX placeholder_credential ON placeholder (credential);
CREATE INDEX placeholder_workload ON placeholder (workload);

CREATE TABLE approval (
    id          TEXT    NOT NULL PRIMARY KEY,
    placeholder TEXT    NOT NULL REFERENCES placeholder (id),
    created     INTEGER NOT NULL,
    decided     INTEGER,
    signature   TEXT    CHECK (signature IS NULL OR json_valid(signature)),
    denied      INTEGER NOT NULL CHECK (denied IN (0, 1)),
    CHECK (NOT (denied AND signature IS NOT NULL)),
    CHECK (decided IS NOT NULL OR (signature IS NULL AND NOT denied))
) STRICT;
CREATE INDEX approval_placeholder ON approval (placeholder);
