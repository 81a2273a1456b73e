-- Changes of who the approvers are, each signed by those before it; and when an approval ends by itself.

CREATE TABLE approver_change (
    sequence   INTEGER NOT NULL PRIMARY KEY CHECK (sequence >= 1),
    act        TEXT    NOT NULL CHECK (act IN ('enrol', 'remove')),
    name       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    needed     INTEGER NOT NULL CHECK (needed >= 1),
    signatures TEXT    NOT NULL CHECK (json_valid(signatures)),
    made       INTEGER NOT NULL
) STRICT;

ALTER TABLE approval ADD COLUMN expires INTEGER;
