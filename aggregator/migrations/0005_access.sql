-- API tokens of the HTTP door: see identity/access.rs. The token itself is kept nowhere.

CREATE TABLE access_tokens (
    id TEXT PRIMARY KEY NOT NULL,
    secret_sha256 TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    -- Who made it; it ends with him.
    owner TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    -- About, for it is written once a minute only.
    used_ms BIGINT,
    revoked_ms BIGINT
);
