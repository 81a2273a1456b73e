-- How a placeholder ended of itself, once that is on record: the clock and the count decide, this follows.

ALTER TABLE placeholder ADD COLUMN ended TEXT CHECK (ended IS NULL OR ended IN ('spent', 'expired'));
