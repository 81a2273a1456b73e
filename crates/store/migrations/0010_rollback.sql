-- When a start found the data directory to be an older copy than the epoch file says.

ALTER TABLE books ADD COLUMN rolled_back INTEGER;
