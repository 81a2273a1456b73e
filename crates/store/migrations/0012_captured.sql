-- Placeholders of tokens that a token endpoint granted to the holder of another placeholder. A token that does not end soon is sealed;
-- what was sealed is gone once that other placeholder, or its credential, is.

CREATE TABLE captured (
    core        TEXT    NOT NULL PRIMARY KEY,
    text        TEXT    NOT NULL,
    placeholder TEXT    NOT NULL REFERENCES placeholder (id),
    token       TEXT    NOT NULL CHECK (token IN ('access-token', 'refresh-token', 'id-token')),
    sealed      BLOB,
    made        INTEGER NOT NULL,
    ends        INTEGER
) STRICT;
CREATE INDEX captured_placeholder ON captured (placeholder);

CREATE TRIGGER captured_ends_with_its_placeholder AFTER UPDATE OF state ON placeholder
WHEN NEW.state IN ('revoked', 'denied')
BEGIN
    UPDATE captured SET sealed = NULL WHERE placeholder = NEW.id;
END;

CREATE TRIGGER captured_ends_with_its_credential AFTER UPDATE OF removed ON credential
WHEN NEW.removed IS NOT NULL
BEGIN
    UPDATE captured SET sealed = NULL WHERE placeholder IN (SELECT id FROM placeholder WHERE credential = NEW.id);
END;
