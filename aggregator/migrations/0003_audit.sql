-- Lines of the audit log get numbers, in the order in which they were written: pages of a list are told by
-- them, also when the clock was set back in between. (INTEGER PRIMARY KEY counts by itself in SQLite; elsewhere
-- it is an identity column.)
CREATE TABLE audit_lines (
    id INTEGER PRIMARY KEY NOT NULL,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);
INSERT INTO audit_lines (at_ms, actor, action, subject, detail)
    SELECT at_ms, actor, action, subject, detail FROM audit ORDER BY at_ms;
DROP TABLE audit;
ALTER TABLE audit_lines RENAME TO audit;
CREATE INDEX audit_at ON audit (at_ms);
CREATE INDEX audit_action ON audit (action, id);

-- Maintenance may end by itself, and says why.
ALTER TABLE nodes ADD COLUMN maintenance_until_ms BIGINT;
ALTER TABLE nodes ADD COLUMN maintenance_reason TEXT;
