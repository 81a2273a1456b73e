-- Placeholders that wait to be fetched. "code" is a keyed hash; "sealed" opens with the code alone, and is gone once fetched.

CREATE TABLE claim (
    code        TEXT    NOT NULL PRIMARY KEY,
    placeholder TEXT    NOT NULL UNIQUE REFERENCES placeholder (id),
    sealed      BLOB,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    claimed     INTEGER,
    claimed_by  TEXT,
    CHECK ((claimed IS NULL) = (sealed IS NOT NULL)),
    CHECK ((claimed IS NULL) = (claimed_by IS NULL))
) STRICT;
