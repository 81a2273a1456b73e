-- What a workload is known by besides its key, what the holder of a placeholder has to show, and at which hours it counts.

ALTER TABLE workload ADD COLUMN certificate TEXT;
ALTER TABLE workload ADD COLUMN uid INTEGER CHECK (uid IS NULL OR uid BETWEEN 0 AND 4294967295);
ALTER TABLE workload ADD COLUMN networks TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(networks));
ALTER TABLE placeholder ADD COLUMN holder TEXT NOT NULL DEFAULT 'key';
ALTER TABLE placeholder ADD COLUMN daily TEXT;
