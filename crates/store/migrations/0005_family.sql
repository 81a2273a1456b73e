-- From which placeholder this one descends: it ends with it.

ALTER TABLE placeholder ADD COLUMN parent TEXT REFERENCES placeholder (id);
CREATE INDEX placeholder_parent ON placeholder (parent) WHERE parent IS NOT NULL;
