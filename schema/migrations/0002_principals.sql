-- People, groups, applications and who is in what. One sequence numbers all principals.
--
-- tenant_user, tenant_group, membership and run_change have NO foreign keys: a first sync writes millions of their rows, and a
-- million foreign key checks are a million trigger calls (seconds). The apply statements and the few API statements that delete a
-- principal remove its edges and bindings in the same transaction instead. Low-rate tables keep theirs.
--
-- source_id 0 means local. It is no NULL because it is part of keys: a local and a source's edge may stand side by side (R45).
-- A source that was deleted leaves its number behind in the rows it owned, so that nothing of it ever turns into something local.

CREATE SEQUENCE principal_seq;

CREATE TABLE tenant_user (
  tenant_id       int NOT NULL,
  leaving         smallint NOT NULL DEFAULT 0,  -- enum Leaving: why its source suspends it, 0 = not at all (S23)
  admin_suspended boolean NOT NULL DEFAULT false,  -- the other, independent mark (R8)
  id              bigint NOT NULL,
  source_id       bigint NOT NULL DEFAULT 0,
  content_hash    bigint NOT NULL DEFAULT 0,
  account_id      bigint,                        -- linked account (R5)
  created_at      timestamptz NOT NULL DEFAULT now(),
  suspended_at    timestamptz,                   -- since when its source suspends it for this reason; the purge counts from here
  external_id     text COLLATE "C",              -- stable id; NULL for a local user
  username        text COLLATE "C" NOT NULL,     -- folded
  email           text COLLATE "C",              -- folded
  first_name      text NOT NULL DEFAULT '',
  last_name       text NOT NULL DEFAULT '',
  entry           text NOT NULL DEFAULT '',
  state_reason    text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX tenant_user_external ON tenant_user (tenant_id, source_id, external_id);
CREATE UNIQUE INDEX tenant_user_local_name ON tenant_user (tenant_id, username) WHERE source_id = 0;  -- R92
CREATE UNIQUE INDEX tenant_user_account ON tenant_user (tenant_id, account_id) WHERE account_id IS NOT NULL;  -- R5
CREATE INDEX tenant_user_left_behind ON tenant_user (tenant_id, suspended_at) WHERE leaving = 5;  -- the sweep's way to what deleted sources left

CREATE TABLE tenant_group (
  tenant_id    int NOT NULL,
  leaving      smallint NOT NULL DEFAULT 0,
  id           bigint NOT NULL,
  source_id    bigint NOT NULL DEFAULT 0,
  content_hash bigint NOT NULL DEFAULT 0,
  created_at   timestamptz NOT NULL DEFAULT now(),
  suspended_at timestamptz,
  external_id  text COLLATE "C",
  name         text NOT NULL,                -- shown; with ~suffix where the plain one is taken (R44)
  name_key     text COLLATE "C",             -- fold(name); NULL while suspended: suspended groups hold no name
  source_name  text NOT NULL DEFAULT '',     -- as the directory writes it; role mappings match it
  description  text NOT NULL DEFAULT '',
  entry        text NOT NULL DEFAULT '',
  state_reason text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, id),
  -- checked at commit, so that swaps and reuse of names in one batch succeed (S29)
  CONSTRAINT tenant_group_name UNIQUE (tenant_id, name_key) DEFERRABLE INITIALLY DEFERRED
);
CREATE UNIQUE INDEX tenant_group_external ON tenant_group (tenant_id, source_id, external_id);
CREATE INDEX tenant_group_left_behind ON tenant_group (tenant_id, suspended_at) WHERE leaving = 5;

CREATE TABLE service_account (
  tenant_id   int NOT NULL REFERENCES tenant,
  id          bigint NOT NULL,
  name        text COLLATE "C" NOT NULL,
  description text NOT NULL DEFAULT '',
  enabled     boolean NOT NULL DEFAULT true,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, name)
);
CREATE TABLE service_account_token (
  tenant_id          int NOT NULL,
  token_id           bigint NOT NULL DEFAULT nextval('token_seq'),
  service_account_id bigint NOT NULL,
  name               text NOT NULL,
  hash               bytea NOT NULL,
  last4              text NOT NULL,
  created_at         timestamptz NOT NULL DEFAULT now(),
  expires_at         timestamptz,
  revoked_at         timestamptz,
  last_used_at       timestamptz,
  PRIMARY KEY (tenant_id, token_id),
  UNIQUE (tenant_id, hash),
  FOREIGN KEY (tenant_id, service_account_id) REFERENCES service_account ON DELETE CASCADE
);

CREATE TABLE membership (
  tenant_id   int NOT NULL,
  member_type smallint NOT NULL,  -- enum PrincipalType
  group_id    bigint NOT NULL,
  member_id   bigint NOT NULL,
  source_id   bigint NOT NULL DEFAULT 0,
  run_id      bigint NOT NULL DEFAULT 0,  -- the run that brought it
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, group_id, member_id, source_id)
);
CREATE INDEX membership_of ON membership (tenant_id, member_id);
