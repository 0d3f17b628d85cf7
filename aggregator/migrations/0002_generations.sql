-- The keys of a node, one after another: see identity/generation.rs.
-- `generation` counts from 1 with each enrolment; `spki_sha256` is the key that was used last.

ALTER TABLE nodes ADD COLUMN previous_spki TEXT;
-- When the present key was first used; null for the key that was enrolled.
ALTER TABLE nodes ADD COLUMN advanced_ms BIGINT;
-- Certified and not used yet.
ALTER TABLE nodes ADD COLUMN pending_spki TEXT;
-- When a certificate was last issued.
ALTER TABLE nodes ADD COLUMN certified_ms BIGINT;
-- Two holders of one identity were seen: both are refused.
ALTER TABLE nodes ADD COLUMN frozen_ms BIGINT;

ALTER TABLE users ADD COLUMN certified_ms BIGINT;
