-- What sources have lent and was not given back yet. "sealed" is how a lease is ended; a row goes only when the source says that the lease is gone,
-- or an operator who knows better says so. The credential may be removed meanwhile.

CREATE TABLE lease (
    id         TEXT    NOT NULL PRIMARY KEY,
    credential TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('asked', 'held', 'ending')),
    sealed     BLOB    NOT NULL,
    asked      INTEGER NOT NULL,
    expires    INTEGER,
    attempts   INTEGER NOT NULL,
    trouble    TEXT
) STRICT;
