-- Roles and bindings. The content of a role is a JSON object text that rosterd reads and SQL never looks into.

CREATE SEQUENCE role_seq;
CREATE TABLE role (
  tenant_id   int NOT NULL REFERENCES tenant,
  role_id     bigint NOT NULL DEFAULT nextval('role_seq'),
  name        text NOT NULL,
  name_key    text COLLATE "C" NOT NULL,  -- folded
  description text NOT NULL DEFAULT '',
  managed     boolean NOT NULL DEFAULT false,
  admin       boolean NOT NULL DEFAULT false,  -- every pair, present and future (R22)
  permissions text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, role_id),
  CONSTRAINT role_name UNIQUE (tenant_id, name_key)
);

CREATE SEQUENCE binding_seq;
CREATE TABLE binding (
  tenant_id      int NOT NULL REFERENCES tenant,
  binding_id     bigint NOT NULL DEFAULT nextval('binding_seq'),
  role_id        bigint NOT NULL,
  principal_id   bigint NOT NULL,
  principal_type smallint NOT NULL,
  ns             text COLLATE "C",      -- NULL = tenant-wide, never '' (R27)
  expires_at     timestamptz,
  source_id      bigint NOT NULL DEFAULT 0,  -- whose role mapping made it
  created_at     timestamptz NOT NULL DEFAULT now(),
  created_by     text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, binding_id),
  FOREIGN KEY (tenant_id, role_id) REFERENCES role,
  CHECK (ns <> ''),
  CONSTRAINT binding_once UNIQUE NULLS NOT DISTINCT (tenant_id, principal_id, role_id, ns, source_id)  -- R35
);
CREATE INDEX binding_of_role ON binding (tenant_id, role_id);
