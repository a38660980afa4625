-- People sign in: passwords, sessions, the lockout, and invitations to a tenant.

ALTER TABLE account ADD COLUMN must_change_password boolean NOT NULL DEFAULT false;

-- Sign-in sessions (R67): the hash of an opaque secret. idle_until moves with use, never beyond ends_at, so that it alone says whether a
-- session lives.
CREATE SEQUENCE session_seq;
CREATE TABLE account_session (
  session_id   bigint PRIMARY KEY DEFAULT nextval('session_seq'),
  account_id   bigint NOT NULL REFERENCES account ON DELETE CASCADE,
  hash         bytea NOT NULL UNIQUE,
  created_at   timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz NOT NULL DEFAULT now(),
  ends_at      timestamptz NOT NULL,
  idle_until   timestamptz NOT NULL,
  idle_ms      bigint NOT NULL
);
CREATE INDEX account_session_of ON account_session (account_id);
CREATE INDEX account_session_over ON account_session (idle_until);

-- Attempts to sign in with a password, by folded e-mail whether or not there is such an account (R63). `attempts` are the times within the
-- window, those included that are being judged just now: many at once cannot outrun the lock. Bounded: the oldest rows go first.
CREATE TABLE sign_in_attempt (
  email        text COLLATE "C" PRIMARY KEY,
  attempts     timestamptz[] NOT NULL,
  last_at      timestamptz NOT NULL,
  locked_until timestamptz
);
CREATE INDEX sign_in_attempt_oldest ON sign_in_attempt (last_at);

-- Invitations (R93): what the invited person gets, and who answers for it: the inviter, judged again when it is accepted (R79).
CREATE SEQUENCE invitation_seq;
CREATE TABLE invitation (
  tenant_id               int NOT NULL REFERENCES tenant,
  invitation_id           bigint NOT NULL DEFAULT nextval('invitation_seq'),
  email                   text COLLATE "C" NOT NULL,  -- folded
  roles                   text NOT NULL,              -- JSON [{"role": role_id, "namespace": text or null}]
  groups                  text NOT NULL,              -- JSON [id of a group]
  hash                    bytea NOT NULL,             -- of the link's secret
  inviter_account         bigint NOT NULL DEFAULT 0,  -- no foreign key: an inviter who is gone makes it stale
  inviter_service_account bigint NOT NULL DEFAULT 0,
  created_at              timestamptz NOT NULL DEFAULT now(),
  created_by              text NOT NULL,
  expires_at              timestamptz NOT NULL,
  accepted_at             timestamptz,
  accepted_by             bigint,                     -- account_id
  PRIMARY KEY (tenant_id, invitation_id),
  UNIQUE (tenant_id, hash)
);
CREATE INDEX invitation_of ON invitation (tenant_id, email);
ALTER TABLE invitation ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitation FORCE ROW LEVEL SECURITY;
CREATE POLICY wall ON invitation USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
CREATE POLICY owners_doors ON invitation TO CURRENT_USER USING (true) WITH CHECK (true);

-- Like token_home: a link names no tenant.
CREATE TABLE invitation_home (
  hash bytea PRIMARY KEY,
  home int NOT NULL  -- tenant_id
);
CREATE FUNCTION house_invitation() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO invitation_home (hash, home) VALUES (NEW.hash, NEW.tenant_id);
  ELSE
    DELETE FROM invitation_home WHERE hash = OLD.hash;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER house_invitation AFTER INSERT OR DELETE ON invitation FOR EACH ROW EXECUTE FUNCTION house_invitation();

-- Where the invitation behind a link lives.
CREATE FUNCTION door_invitation(of_hash bytea) RETURNS TABLE (tenant_id int, tenant text, enabled int, invitation_id bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.tenant_id, t.id, t.enabled::int, i.invitation_id
  FROM invitation_home h
  JOIN invitation i ON i.tenant_id = h.home AND i.hash = h.hash
  JOIN tenant t ON t.tenant_id = i.tenant_id
  WHERE h.hash = of_hash
$$;

-- In how many tenants an account is somebody: whether all of them have moved on with it.
CREATE FUNCTION door_links(of_account bigint) RETURNS bigint
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT count(*) FROM tenant t WHERE EXISTS (SELECT 1 FROM tenant_user u WHERE u.tenant_id = t.tenant_id AND u.account_id = of_account)
$$;

CREATE OR REPLACE FUNCTION door_delete_tenant() RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['run_change', 'run_change_pack', 'run', 'source_lease', 'source_state', 'source', 'binding', 'role', 'membership', 'service_account_token',
                           'service_account', 'tenant_user', 'tenant_group', 'invitation', 'tenant'] LOOP
    EXECUTE format('DELETE FROM %I WHERE tenant_id = $1', t) USING current_tenant();
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION give_rights(app name) RETURNS void LANGUAGE plpgsql SET search_path = rosterd, pg_temp AS $$
DECLARE f regprocedure;
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA rosterd TO %I', app);
  EXECUTE format('GRANT USAGE ON SEQUENCE account_seq, token_seq, tenant_seq, tenant_epoch_seq, role_seq, binding_seq, source_seq, run_seq, audit_seq, '
                 'session_seq, invitation_seq TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON account, account_token, account_session, sign_in_attempt, tenant, tenant_user, tenant_group, '
                 'service_account, service_account_token, membership, role, binding, invitation, source, source_state, source_lease, run TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT ON run_change, run_change_pack, audit TO %I', app);
  EXECUTE format('GRANT SELECT ON audit_change, run_change_whole, schema_migration TO %I', app);
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), app);
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'rosterd'::regnamespace AND p.proname <> 'give_rights' LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, app);
  END LOOP;
END $$;

REVOKE ALL ON FUNCTION house_invitation(), door_invitation(bytea), door_links(bigint) FROM PUBLIC;
