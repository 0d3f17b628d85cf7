-- When nodes have no samples though they should have, and why: see agents/gap.
-- A part is what is said of one event; all its rows are replaced together.

CREATE TABLE gaps (
    id INTEGER PRIMARY KEY NOT NULL,
    node BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    part BIGINT NOT NULL,
    -- Null for the whole node.
    collector TEXT,
    from_ms BIGINT NOT NULL,
    -- Null while it goes on.
    to_ms BIGINT,
    cause TEXT NOT NULL,
    samples BIGINT NOT NULL,
    filled_ms BIGINT
);
CREATE INDEX gaps_part ON gaps (node, part);
CREATE INDEX gaps_from ON gaps (from_ms);

-- When and as what a node was last heard.
CREATE TABLE heard (
    node BIGINT PRIMARY KEY NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    at_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    -- Of the epoch; the second is the bits of an unsigned number.
    epoch_order BIGINT NOT NULL,
    epoch_nonce BIGINT NOT NULL,
    boot_id TEXT NOT NULL
);

-- As far as the aggregator is known to have run. Only one row.
CREATE TABLE ran (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    at_ms BIGINT NOT NULL
);
