-- What belongs to no tenant: accounts, their tokens, and the list of tenants itself.
--
-- Texts that are compared are COLLATE "C" and stored folded by rosterd's own fold(): PostgreSQL's idea of equal letters depends on
-- the operating system's locale files, and an index built under one of them lies under the next.
-- Sequences never go back, so that an id is never given twice (R6), not even after a deletion or a rolled back transaction.

CREATE SEQUENCE account_seq;
CREATE TABLE account (
  account_id    bigint PRIMARY KEY DEFAULT nextval('account_seq'),
  email         text COLLATE "C" NOT NULL UNIQUE,  -- folded
  first_name    text NOT NULL DEFAULT '',
  last_name     text NOT NULL DEFAULT '',
  password_hash text,                               -- Argon2id PHC string (R61)
  preferences   text NOT NULL DEFAULT '{}',         -- JSON object (R95)
  enabled       boolean NOT NULL DEFAULT true,
  super_admin   boolean NOT NULL DEFAULT false,
  created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE token_seq;  -- one number space for tokens of accounts and of service accounts
CREATE TABLE account_token (
  token_id     bigint PRIMARY KEY DEFAULT nextval('token_seq'),
  account_id   bigint NOT NULL REFERENCES account ON DELETE CASCADE,
  name         text NOT NULL,
  hash         bytea NOT NULL UNIQUE,
  last4        text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);
CREATE INDEX account_token_of ON account_token (account_id);

CREATE SEQUENCE tenant_seq AS int;
CREATE SEQUENCE tenant_epoch_seq AS int;  -- a tenant made anew under an old id starts a new epoch (R88)
CREATE TABLE tenant (
  tenant_id  int PRIMARY KEY DEFAULT nextval('tenant_seq'),
  id         text COLLATE "C" NOT NULL UNIQUE,  -- the slug, immutable (R83)
  name       text NOT NULL,
  enabled    boolean NOT NULL DEFAULT true,
  epoch      int NOT NULL DEFAULT nextval('tenant_epoch_seq'),
  revision   bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by bigint                             -- account_id
) WITH (fillfactor = 50);  -- the revision moves in place (HOT)

-- Microseconds since 1970, the form in which times leave SQL: an integer needs no parsing and loses nothing.
CREATE FUNCTION micros(timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (extract(epoch FROM $1) * 1000000)::bigint;

-- The tenant of the running transaction; NULL without one, and then no row of any tenant is visible. After a transaction that had set
-- it, a session's setting is '' rather than absent, hence nullif.
CREATE FUNCTION current_tenant() RETURNS int LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('rosterd.tenant', true), '')::int;
