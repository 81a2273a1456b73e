-- What is done when a placeholder is misused. "freeze" is reserved.

ALTER TABLE placeholder ADD COLUMN on_misuse TEXT NOT NULL DEFAULT 'record'
    CHECK (on_misuse IN ('record', 'freeze', 'revoke-family'));
