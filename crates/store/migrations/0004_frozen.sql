-- When a placeholder begins to count, and since when it is frozen. Freezing leaves the state as it is: thawing brings it back.

ALTER TABLE placeholder ADD COLUMN not_before INTEGER;
ALTER TABLE placeholder ADD COLUMN frozen INTEGER;
