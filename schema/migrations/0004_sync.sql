-- Sources, what they remember, who is syncing them, what their runs did; and the audit log.

CREATE SEQUENCE source_seq;
CREATE TABLE source (
  tenant_id     int NOT NULL REFERENCES tenant,
  source_id     bigint NOT NULL DEFAULT nextval('source_seq'),
  name          text COLLATE "C" NOT NULL,
  type          text NOT NULL,
  enabled       boolean NOT NULL,
  settings      text NOT NULL,           -- JSON of the connector, secrets sealed
  interval_ms   bigint NOT NULL,
  full_every_ms bigint NOT NULL,
  live          boolean NOT NULL,
  guard_percent double precision NOT NULL,
  guard_floor   bigint NOT NULL,
  guard_ceiling bigint NOT NULL,
  role_mappings text NOT NULL DEFAULT '[]',
  version       bigint NOT NULL DEFAULT 1,
  created_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, source_id),
  CONSTRAINT source_name UNIQUE (tenant_id, name)
);

CREATE TABLE source_state (
  tenant_id          int NOT NULL,
  source_id          bigint NOT NULL,
  cursor             text NOT NULL DEFAULT '',
  cursor_fingerprint text NOT NULL DEFAULT '',
  scope_fingerprint  text NOT NULL DEFAULT '',
  learnt             text NOT NULL DEFAULT '',
  cursor_kind        text NOT NULL DEFAULT '',
  last_complete_read timestamptz,
  failures           int NOT NULL DEFAULT 0,
  next_due           timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, source_id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES source ON DELETE CASCADE
) WITH (fillfactor = 50);
CREATE INDEX source_state_due ON source_state (tenant_id, next_due);

-- The right to sync a source. Its times are the database's own: the one clock that all replicas share.
CREATE TABLE source_lease (
  tenant_id  int NOT NULL,
  source_id  bigint NOT NULL,
  fence      bigint NOT NULL DEFAULT 0,   -- grows with every holder; apply refuses an older one
  holder     text NOT NULL DEFAULT '',
  run_id     bigint NOT NULL DEFAULT 0,
  expires_at timestamptz,                 -- NULL = free
  PRIMARY KEY (tenant_id, source_id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES source ON DELETE CASCADE
) WITH (fillfactor = 50);

-- No foreign key to source: what runs did outlives the source that did it.
CREATE SEQUENCE run_seq;
CREATE TABLE run (
  tenant_id           int NOT NULL REFERENCES tenant,
  run_id              bigint NOT NULL DEFAULT nextval('run_seq'),
  source_id           bigint NOT NULL,
  source_name         text NOT NULL,
  mode                smallint NOT NULL,  -- enum RunMode
  trigger             smallint NOT NULL,  -- enum RunTrigger
  dry_run             boolean NOT NULL DEFAULT false,
  requested_by        text NOT NULL DEFAULT '',
  outcome             smallint NOT NULL,  -- enum Outcome
  reason              text NOT NULL DEFAULT '',
  detail              text NOT NULL DEFAULT '',
  cursor_kind         text NOT NULL DEFAULT '',
  plan_hash           text NOT NULL DEFAULT '',   -- '' = no plan
  plan_counts         text NOT NULL DEFAULT '{}',
  notices             text NOT NULL DEFAULT '[]',
  complete            boolean NOT NULL DEFAULT false,
  queued_at           timestamptz NOT NULL DEFAULT now(),
  started_at          timestamptz,
  finished_at         timestamptz,
  approval_expires_at timestamptz,        -- set exactly while a held plan waits for approval
  epoch               int,
  revision            bigint,
  progress            text NOT NULL DEFAULT '',
  applied             boolean NOT NULL DEFAULT false,  -- its changes are history, not a plan
  left_users          bigint NOT NULL DEFAULT 0,       -- what left through it and was not approved (S16)
  left_groups         bigint NOT NULL DEFAULT 0,
  left_bindings       bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, run_id)
) WITH (fillfactor = 70);
CREATE INDEX run_of_source ON run (tenant_id, source_id, run_id);
-- One run in the queue a source: a second request gets the first one's id (S44). A dry run and an approval stand apart, since neither
-- can do the other's work.
CREATE UNIQUE INDEX run_queued ON run (tenant_id, source_id, dry_run, (mode = 3)) WHERE outcome = 1;
CREATE INDEX run_running ON run (tenant_id, source_id) WHERE outcome = 2;
CREATE INDEX run_held ON run (tenant_id, source_id) WHERE approval_expires_at IS NOT NULL;

-- The object-by-object record of a run: a plan while the run is held, history once it has been applied. before and after are JSON
-- texts, written by rosterd and never looked into by SQL; a json column would only spend CPU on checking a million of them again.
CREATE TABLE run_change (
  tenant_id          int NOT NULL,
  type               smallint NOT NULL,  -- enum ObjectType
  kind               smallint NOT NULL,  -- enum ChangeKind
  run_id             bigint NOT NULL,
  seq                bigint NOT NULL,
  object_id          bigint NOT NULL,    -- user or group; of a membership or binding the group; 0 = not held
  content_hash       bigint NOT NULL DEFAULT 0,
  before_hash        bigint NOT NULL DEFAULT 0,
  leaving            smallint NOT NULL DEFAULT 0,
  member_type        smallint NOT NULL DEFAULT 0,
  member_id          bigint,
  role_id            bigint,
  binding_id         bigint,
  external_id        text COLLATE "C" NOT NULL DEFAULT '',
  name               text,
  reason             text NOT NULL DEFAULT '',
  member_external_id text COLLATE "C",
  before             text,
  after              text,
  PRIMARY KEY (tenant_id, run_id, seq)
);

-- The same record for what a first load adds, a few thousand changes a row: a JSON array, compressed by PostgreSQL. A million rows of
-- run_change would cost more than the rest of the load together, and nobody asks for one of them alone. seq s, object o, stable id x,
-- content hash h, leaving l unless 0, reason r where it is another than the pack's, after a; member m with stable id y, of type t unless it is a user.
CREATE TABLE run_change_pack (
  tenant_id int NOT NULL,
  run_id    bigint NOT NULL,
  first_seq bigint NOT NULL,
  last_seq  bigint NOT NULL,
  type      smallint NOT NULL,  -- enum ObjectType
  kind      smallint NOT NULL,  -- enum ChangeKind
  reason    text NOT NULL,
  changes   text NOT NULL,
  PRIMARY KEY (tenant_id, run_id, first_seq)
);
DO $$
BEGIN
  ALTER TABLE run_change_pack ALTER COLUMN changes SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
  NULL;  -- a server built without lz4 compresses with its own method, only slower
END $$;

-- tenant_id 0 = an event of the instance. No foreign key and the slug beside it: audit rows outlive their tenant (R88).
CREATE SEQUENCE audit_seq;
CREATE TABLE audit (
  tenant_id   int NOT NULL,
  audit_id    bigint NOT NULL DEFAULT nextval('audit_seq'),
  at          timestamptz NOT NULL DEFAULT now(),
  tenant      text COLLATE "C" NOT NULL DEFAULT '',
  account_id  bigint,
  actor       text NOT NULL DEFAULT '',   -- by what: "token tok_…", "run run_…", "setup"
  ip          text NOT NULL DEFAULT '',
  request_id  text NOT NULL DEFAULT '',
  action      text NOT NULL,
  object_type text NOT NULL DEFAULT '',
  object_id   text NOT NULL DEFAULT '',
  object_name text NOT NULL DEFAULT '',
  before      text,
  after       text,
  run_id      bigint,
  epoch       int,
  revision    bigint,
  PRIMARY KEY (tenant_id, audit_id)
);
