-- The virtual machine that a workload is in: its number, and the keyed hash of the nonce of its present boot. The two go together.

ALTER TABLE workload ADD COLUMN cid INTEGER CHECK (cid IS NULL OR cid BETWEEN 3 AND 4294967294);
ALTER TABLE workload ADD COLUMN boot TEXT CHECK ((cid IS NULL) = (boot IS NULL));
