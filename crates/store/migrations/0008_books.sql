-- What the database knows about the journal beside it. "used" is a copy from now on: the journal has the truth.

CREATE TABLE books (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    tally INTEGER NOT NULL
) STRICT;
INSERT INTO books (one, tally) VALUES (1, 0);
