-- Approvals with several signatures, who asked, the generation that they cover, and withdrawal.
--
-- "signature" holds a list from now on (or the one signature of before), once decided; "gathered" the list until then.

ALTER TABLE approval ADD COLUMN gathered TEXT CHECK (gathered IS NULL OR json_valid(gathered));
ALTER TABLE approval ADD COLUMN requester TEXT;
ALTER TABLE approval ADD COLUMN generation INTEGER CHECK (generation IS NULL OR generation >= 1);
ALTER TABLE approval ADD COLUMN withdrawn INTEGER;
