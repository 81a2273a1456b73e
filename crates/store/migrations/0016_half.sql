-- A session has two halves: the cookie, and what only its pages hold. Of sessions that began before there was the second one nobody holds it.

DELETE FROM session;
ALTER TABLE session ADD COLUMN half TEXT NOT NULL DEFAULT '';
