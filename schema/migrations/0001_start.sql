-- The first schema. Times are Unix milliseconds (…_at), ids are ULIDs, documents are JSON text.
-- What is acknowledged to a client or an agent is committed with synchronous=FULL; instances, conditions and sites_served are observed
-- state: they can be rebuilt by looking.

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    network    INTEGER NOT NULL UNIQUE, -- which subnet of the configured range
    leased_at  INTEGER NOT NULL DEFAULT 0, -- when a build of it was last given to a builder
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    hash         TEXT NOT NULL UNIQUE, -- SHA-256 of the token
    project_id   TEXT REFERENCES projects ON DELETE CASCADE, -- NULL: all projects
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    token_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE repositories (
    id             TEXT PRIMARY KEY,
    project_id     TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
    name           TEXT NOT NULL,
    url            TEXT,             -- NULL: hosted here
    username       TEXT,
    password       TEXT,
    webhook_secret TEXT NOT NULL,
    polled_at      INTEGER,          -- when its refs were last seen
    error_reason   TEXT,             -- of the last try, NULL: it went well
    error_message  TEXT,
    created_at     INTEGER NOT NULL,
    UNIQUE (project_id, name)
) STRICT, WITHOUT ROWID;

-- What the refs that apps follow point to. For hosted repositories a push sets `sha`; `published` is what the branch in git says.
CREATE TABLE refs (
    repository_id TEXT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    name          TEXT NOT NULL,
    sha           TEXT,              -- NULL: the remote has no such ref
    published     TEXT,
    seen_at       INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE commits (
    repository_id TEXT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    sha           TEXT NOT NULL,
    author        TEXT NOT NULL,
    message       TEXT NOT NULL,
    authored_at   INTEGER NOT NULL,
    PRIMARY KEY (repository_id, sha)
) STRICT, WITHOUT ROWID;

CREATE TABLE apps (
    id                  TEXT PRIMARY KEY,
    project_id          TEXT NOT NULL REFERENCES projects,
    name                TEXT NOT NULL,
    repository_id       TEXT REFERENCES repositories, -- NULL: method image
    ref                 TEXT NOT NULL,
    generation          INTEGER NOT NULL DEFAULT 1,   -- of the overlay, see app_specs
    observed_generation INTEGER NOT NULL DEFAULT 0,   -- what the registrar has seen
    running             INTEGER NOT NULL DEFAULT 1,
    deleting            INTEGER NOT NULL DEFAULT 0,
    wanted_sha          TEXT,                         -- the commit behind:
    wanted_build_id     TEXT,
    wanted_release_id   TEXT,
    live_release_id     TEXT,
    router_generation   INTEGER NOT NULL DEFAULT 0,
    router_hash         TEXT,                         -- of the routes and upstreams of that generation, once acknowledged
    hold                TEXT,                         -- {sha, generation, reason, message, at} or NULL
    created_at          INTEGER NOT NULL,
    UNIQUE (project_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX apps_by_ref ON apps (repository_id, ref);
CREATE INDEX apps_by_build ON apps (wanted_build_id);
CREATE INDEX apps_unobserved ON apps (id) WHERE generation <> observed_generation;
CREATE INDEX apps_moving ON apps (id) WHERE wanted_release_id IS NOT live_release_id;

-- The overlay document of each generation; old ones go.
CREATE TABLE app_specs (
    app_id     TEXT NOT NULL REFERENCES apps ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    overlay    TEXT NOT NULL,
    author     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, generation)
) STRICT, WITHOUT ROWID;

-- Claims on host and path; a release's claims are taken before it is rolled out.
CREATE TABLE routes (
    host   TEXT NOT NULL,
    path   TEXT NOT NULL,
    app_id TEXT NOT NULL REFERENCES apps ON DELETE CASCADE,
    PRIMARY KEY (host, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX routes_by_app ON routes (app_id);

CREATE TABLE artifacts (
    digest     TEXT PRIMARY KEY, -- sha256:…
    kind       TEXT NOT NULL CHECK (kind IN ('image', 'site')),
    ref        TEXT NOT NULL,    -- what a backend runs; the digest for a site
    size       INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE builds (
    id         TEXT PRIMARY KEY,
    key        TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
    app_id     TEXT NOT NULL,    -- the app that asked first; others may want the same key
    repository_id TEXT,
    sha        TEXT,
    spec       TEXT NOT NULL,    -- the build part of the full spec
    state      TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    reason     TEXT,
    message    TEXT,
    cancel     TEXT,             -- why it should end, set by `builds cancel`
    attempts   INTEGER NOT NULL DEFAULT 0, -- that count: lost ones and infrastructure failures
    artifact   TEXT REFERENCES artifacts ON DELETE SET NULL,
    queued_at  INTEGER NOT NULL,
    started_at INTEGER,
    ended_at   INTEGER,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX builds_queued ON builds (project_id, queued_at) WHERE state = 'queued';
CREATE INDEX builds_waiting ON builds (queued_at) WHERE state = 'queued';
CREATE INDEX builds_running ON builds (project_id) WHERE state = 'running';
CREATE INDEX builds_by_app ON builds (app_id, id);
CREATE INDEX builds_by_project ON builds (project_id, id);
CREATE INDEX builds_by_artifact ON builds (artifact);

CREATE TABLE build_attempts (
    id         TEXT PRIMARY KEY,
    build_id   TEXT NOT NULL REFERENCES builds ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    builder    TEXT NOT NULL,
    lease_hash TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled', 'lost')),
    reason     TEXT,
    message    TEXT,
    log_size   INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    UNIQUE (build_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_running ON build_attempts (id) WHERE state = 'running';

CREATE TABLE releases (
    id         TEXT PRIMARY KEY,
    app_id     TEXT NOT NULL REFERENCES apps ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    key        TEXT NOT NULL,
    artifact   TEXT NOT NULL,    -- digest; the row may be gone after the janitor
    sha        TEXT,
    generation INTEGER NOT NULL,
    spec       TEXT NOT NULL,    -- the full spec, frozen
    state      TEXT NOT NULL CHECK (state IN ('pending', 'live', 'retired', 'rejected')),
    reason     TEXT,
    message    TEXT,
    evidence   TEXT,             -- of a rejection: instances, probes, last log lines
    created_at INTEGER NOT NULL,
    live_at    INTEGER,
    UNIQUE (app_id, number),
    UNIQUE (app_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX releases_by_artifact ON releases (artifact);

CREATE TABLE rollouts (
    id         TEXT PRIMARY KEY,
    app_id     TEXT NOT NULL REFERENCES apps ON DELETE CASCADE,
    release_id TEXT NOT NULL REFERENCES releases ON DELETE CASCADE,
    from_id    TEXT,
    state      TEXT NOT NULL CHECK (state IN ('running', 'live', 'failed', 'superseded')),
    step       TEXT NOT NULL,
    message    TEXT,
    elapsed_ms INTEGER NOT NULL DEFAULT 0, -- time spent, as counted by steps: a clock that jumps or a downtime does not count
    stepped_at INTEGER NOT NULL,
    failures   INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX rollouts_running ON rollouts (app_id) WHERE state = 'running';
CREATE INDEX rollouts_by_app ON rollouts (app_id, id);
CREATE INDEX rollouts_by_release ON rollouts (release_id);

CREATE TABLE instances (
    name        TEXT PRIMARY KEY,
    app_id      TEXT NOT NULL REFERENCES apps ON DELETE CASCADE,
    release_id  TEXT NOT NULL,
    process     TEXT NOT NULL,
    number      INTEGER NOT NULL,
    state       TEXT NOT NULL, -- as the backend last said, or 'draining'
    address     TEXT,
    port        INTEGER NOT NULL DEFAULT 0,
    exit_code   INTEGER,
    restarts    INTEGER NOT NULL DEFAULT 0,
    restart_at  INTEGER NOT NULL DEFAULT 0, -- not before
    drain_at    INTEGER,                    -- when draining began
    started_at  INTEGER NOT NULL DEFAULT 0,
    observed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX instances_by_app ON instances (app_id);

-- Sites that agents should have; the revision grows with each change, so an agent asks for what is newer than it knows.
CREATE TABLE sites (
    digest   TEXT PRIMARY KEY,
    wanted   INTEGER NOT NULL,
    revision INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
CREATE INDEX sites_wanted ON sites (digest) WHERE wanted;

CREATE TABLE sites_served (
    digest  TEXT NOT NULL,
    agent   TEXT NOT NULL,
    reason  TEXT,              -- NULL: served; else why not
    message TEXT,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (digest, agent)
) STRICT, WITHOUT ROWID;

CREATE TABLE conditions (
    app_id      TEXT NOT NULL REFERENCES apps ON DELETE CASCADE,
    type        TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('true', 'false', 'unknown')),
    reason      TEXT NOT NULL,
    message     TEXT NOT NULL,
    since       INTEGER NOT NULL,
    observed_at INTEGER NOT NULL,
    next_try_at INTEGER,
    PRIMARY KEY (app_id, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX conditions_host_taken ON conditions (app_id) WHERE reason = 'HostTaken';

CREATE TABLE events (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    project_id TEXT,
    app_id     TEXT,
    kind       TEXT NOT NULL, -- source, build, rollout, instance, app, system
    reason     TEXT NOT NULL,
    message    TEXT NOT NULL,
    data       TEXT
) STRICT;
CREATE INDEX events_by_app ON events (app_id, seq);
CREATE INDEX events_by_project ON events (project_id, seq);

CREATE TABLE work (
    loop     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    due_at   INTEGER NOT NULL,
    revision INTEGER NOT NULL DEFAULT 1, -- grows with each cause, so that a cause during a step is not lost
    attempts INTEGER NOT NULL DEFAULT 0,
    reason   TEXT,
    PRIMARY KEY (loop, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX work_due ON work (loop, due_at);
