-- People sign in through issuers (OpenID providers): of a tenant, whose people are users of that tenant alone, and of the instance, for
-- accounts.

-- Which sources sign people in, by issuer: a token names its issuer and no tenant. Kept by the sources' table itself, and for the doors below
-- alone.
CREATE TABLE sign_in_issuer (
  issuer    text COLLATE "C" NOT NULL,  -- compared byte for byte
  home      int NOT NULL,               -- tenant_id
  source_id bigint NOT NULL,
  PRIMARY KEY (issuer, home, source_id)
);
CREATE INDEX sign_in_issuer_of ON sign_in_issuer (source_id);
CREATE FUNCTION house_issuer() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM sign_in_issuer WHERE source_id = OLD.source_id;
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.enabled AND NEW.type = 'oidc' THEN
    INSERT INTO sign_in_issuer (issuer, home, source_id)
      SELECT s.settings ->> 'issuer', NEW.tenant_id, NEW.source_id FROM (SELECT NEW.settings::json AS settings) s
      WHERE s.settings ->> 'sign_in' = 'true' AND length(s.settings ->> 'issuer') BETWEEN 1 AND 2000;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER house_issuer AFTER INSERT OR DELETE OR UPDATE OF enabled, settings ON source FOR EACH ROW EXECUTE FUNCTION house_issuer();
INSERT INTO sign_in_issuer (issuer, home, source_id)
  SELECT s.settings::json ->> 'issuer', s.tenant_id, s.source_id FROM source s
  WHERE s.enabled AND s.type = 'oidc' AND s.settings::json ->> 'sign_in' = 'true' AND length(s.settings::json ->> 'issuer') BETWEEN 1 AND 2000;

-- The sources that sign in people of an issuer, in tenants that are enabled (R87).
CREATE FUNCTION door_issuer_sources(of_issuer text) RETURNS TABLE (tenant text, source_id bigint, version bigint, name text, settings text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id, s.source_id, s.version, s.name, s.settings
  FROM sign_in_issuer i
  JOIN source s ON s.tenant_id = i.home AND s.source_id = i.source_id AND s.enabled
  JOIN tenant t ON t.tenant_id = i.home AND t.enabled
  WHERE i.issuer = of_issuer COLLATE "C"
  ORDER BY s.source_id
$$;

-- Who a subject is in each of these sources: a row for every source that is still as it was (version) and still signs in; user_id is NULL for
-- somebody it does not know.
CREATE FUNCTION door_issuer_users(of_sources bigint[], of_versions bigint[], of_subjects text[])
  RETURNS TABLE (tenant text, source_id bigint, user_id bigint, username text, active int)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id, s.source_id, u.id, u.username, (u.leaving = 0 AND NOT u.admin_suspended)::int
  FROM unnest(of_sources, of_versions, of_subjects) AS asked (source_id, version, subject)
  JOIN sign_in_issuer i ON i.source_id = asked.source_id
  JOIN source s ON s.tenant_id = i.home AND s.source_id = i.source_id AND s.enabled AND s.version = asked.version
  JOIN tenant t ON t.tenant_id = i.home AND t.enabled
  LEFT JOIN tenant_user u ON u.tenant_id = i.home AND u.source_id = i.source_id AND u.external_id = asked.subject COLLATE "C"
$$;

-- Sign-in sessions of users, who have no account to have one of (R67 holds for them alike).
CREATE TABLE user_session (
  tenant_id    int NOT NULL,
  session_id   bigint NOT NULL DEFAULT nextval('session_seq'),
  user_id      bigint NOT NULL,
  source_id    bigint NOT NULL,  -- through whose issuer
  hash         bytea NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz NOT NULL DEFAULT now(),
  ends_at      timestamptz NOT NULL,
  idle_until   timestamptz NOT NULL,
  idle_ms      bigint NOT NULL,
  PRIMARY KEY (tenant_id, session_id),
  UNIQUE (tenant_id, hash)
);
CREATE INDEX user_session_of ON user_session (tenant_id, user_id);
CREATE INDEX user_session_over ON user_session (tenant_id, idle_until);
ALTER TABLE user_session ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_session FORCE ROW LEVEL SECURITY;
CREATE POLICY wall ON user_session USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()));
CREATE POLICY owners_doors ON user_session TO CURRENT_USER USING (true) WITH CHECK (true);

-- Like token_home: a session names no tenant.
CREATE TABLE user_session_home (
  hash bytea PRIMARY KEY,
  home int NOT NULL  -- tenant_id
);
CREATE FUNCTION house_user_session() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO user_session_home (hash, home) VALUES (NEW.hash, NEW.tenant_id);
  ELSE
    DELETE FROM user_session_home WHERE hash = OLD.hash;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER house_user_session AFTER INSERT OR DELETE ON user_session FOR EACH ROW EXECUTE FUNCTION house_user_session();

-- The owner of a live session: the user active, tenant and source enabled, the source still signing in.
CREATE FUNCTION door_user_session(of_hash bytea)
  RETURNS TABLE (tenant text, user_id bigint, username text, source_id bigint, session_id bigint, ends_at timestamptz, note_use int)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id, u.id, u.username, s.source_id, s.session_id, s.ends_at, (s.last_used_at < now() - interval '1 minute')::int
  FROM user_session_home h
  JOIN user_session s ON s.tenant_id = h.home AND s.hash = h.hash
  JOIN tenant t ON t.tenant_id = s.tenant_id AND t.enabled
  JOIN tenant_user u ON u.tenant_id = s.tenant_id AND u.id = s.user_id AND u.leaving = 0 AND NOT u.admin_suspended AND u.source_id = s.source_id
  JOIN sign_in_issuer i ON i.source_id = s.source_id AND i.home = s.tenant_id
  WHERE h.hash = of_hash AND s.idle_until > now()
$$;
CREATE FUNCTION door_note_user_session(of_hash bytea) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  UPDATE user_session s SET last_used_at = now(), idle_until = least(s.ends_at, now() + s.idle_ms * interval '1 millisecond')
  FROM (SELECT o.tenant_id, o.session_id FROM user_session_home h JOIN user_session o ON o.tenant_id = h.home AND o.hash = h.hash
        WHERE h.hash = of_hash FOR UPDATE OF o SKIP LOCKED) one
  WHERE s.tenant_id = one.tenant_id AND s.session_id = one.session_id
$$;

-- Which account a person of the instance's issuer is. Never found by e-mail (rbac.md §18): made by a super admin, by the account's owner while
-- signed in, or with the account itself at a first sign-in.
CREATE TABLE account_identity (
  issuer     text COLLATE "C" NOT NULL,
  subject    text COLLATE "C" NOT NULL,
  account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (issuer, subject),
  UNIQUE (account_id, issuer)
);

-- Who did it, when that was a user without an account.
ALTER TABLE audit ADD COLUMN user_id bigint;

CREATE OR REPLACE FUNCTION door_delete_tenant() RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['run_change', 'run_change_pack', 'run', 'source_lease', 'source_state', 'source', 'binding', 'role', 'membership', 'service_account_token',
                           'service_account', 'user_session', 'tenant_user', 'tenant_group', 'invitation', 'tenant'] LOOP
    EXECUTE format('DELETE FROM %I WHERE tenant_id = $1', t) USING current_tenant();
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION give_rights(app name) RETURNS void LANGUAGE plpgsql SET search_path = rosterd, pg_temp AS $$
DECLARE f regprocedure;
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA rosterd TO %I', app);
  EXECUTE format('GRANT USAGE ON SEQUENCE account_seq, token_seq, tenant_seq, tenant_epoch_seq, role_seq, binding_seq, source_seq, run_seq, audit_seq, '
                 'session_seq, invitation_seq TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON account, account_token, account_session, account_identity, sign_in_attempt, tenant, tenant_user, '
                 'tenant_group, service_account, service_account_token, user_session, membership, role, binding, invitation, source, source_state, '
                 'source_lease, run TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE ON instance_fact TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT ON run_change, run_change_pack, audit TO %I', app);
  EXECUTE format('GRANT SELECT ON audit_change, run_change_whole, schema_migration TO %I', app);
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), app);
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'rosterd'::regnamespace AND p.proname <> 'give_rights' LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, app);
  END LOOP;
END $$;

REVOKE ALL ON FUNCTION house_issuer(), door_issuer_sources(text), door_issuer_users(bigint[], bigint[], text[]), house_user_session(),
  door_user_session(bytea), door_note_user_session(bytea) FROM PUBLIC;
