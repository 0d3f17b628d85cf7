-- Who belongs, who may do what, and who changed it.
-- Times are milliseconds since the Unix epoch; hashes are hexadecimal text; a flag is 0 or 1.

CREATE TABLE sequences (
    name TEXT PRIMARY KEY NOT NULL,
    last BIGINT NOT NULL
);
-- A node's number is the key of its history: it is never given twice.
INSERT INTO sequences (name, last) VALUES ('node', 0);

CREATE TABLE nodes (
    id BIGINT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    cluster TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('voter', 'observer')),
    zone TEXT,
    weight BIGINT NOT NULL CHECK (weight BETWEEN 1 AND 4294967295),
    state TEXT NOT NULL CHECK (state IN ('active', 'revoked')),
    spki_sha256 TEXT NOT NULL,
    generation BIGINT NOT NULL DEFAULT 1,
    maintenance BIGINT NOT NULL DEFAULT 0,
    created_ms BIGINT NOT NULL,
    enrolled_ms BIGINT NOT NULL,
    revoked_ms BIGINT,
    revoke_reason TEXT,
    last_boot_id TEXT
);

CREATE TABLE users (
    name TEXT PRIMARY KEY NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    state TEXT NOT NULL CHECK (state IN ('active', 'revoked')),
    spki_sha256 TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT,
    revoke_reason TEXT
);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,
    secret_sha256 TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('agent', 'viewer', 'operator', 'admin')),
    name TEXT NOT NULL,
    -- The declaration of a node; unused for people.
    cluster TEXT NOT NULL,
    role TEXT NOT NULL,
    zone TEXT,
    weight BIGINT NOT NULL,
    may_replace BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT,
    used_spki TEXT,
    revoked_ms BIGINT
);

CREATE TABLE audit (
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at_ms);
