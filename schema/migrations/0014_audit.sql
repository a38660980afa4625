-- The audit log as people ask it: who, what, when, and the history of one object; bindings that have expired; what the release last wrote
-- into every tenant.

-- Whom a row is about besides its object: the member of a membership, the principal of a binding. Else the history of a person would not
-- tell what happened to him by way of others.
ALTER TABLE audit ADD COLUMN about_id text COLLATE "C";
UPDATE audit SET about_id = coalesce(after::json ->> 'member', before::json ->> 'member')
  WHERE object_type = 'group' AND action IN ('member_added', 'member_removed');
UPDATE audit SET about_id = coalesce(after::json ->> 'principal', before::json ->> 'principal') WHERE object_type = 'binding' AND action IN ('created', 'deleted');
CREATE INDEX audit_of_object ON audit (tenant_id, object_id COLLATE "C", audit_id);
CREATE INDEX audit_about ON audit (tenant_id, about_id, audit_id) WHERE about_id IS NOT NULL;
CREATE INDEX audit_of_run ON audit (tenant_id, run_id) WHERE run_id IS NOT NULL;
-- A first load writes packs and none of these rows, so that it does not pay for these three; packs are looked through (docs/api.md).
CREATE INDEX run_change_of_object ON run_change (tenant_id, object_id, run_id);
CREATE INDEX run_change_of_member ON run_change (tenant_id, member_id, run_id) WHERE member_id IS NOT NULL;
CREATE INDEX run_change_of_binding ON run_change (tenant_id, binding_id, run_id) WHERE binding_id IS NOT NULL;

-- The log of all tenants, deleted ones too, and of the instance, for super admins: rows between two numbers, which are one sequence for
-- everybody. From tenant to tenant along the primary key, since no index of a tenants' table begins with anything else.
CREATE FUNCTION door_audit(above bigint, up_to bigint) RETURNS SETOF audit
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  WITH RECURSIVE found (number) AS (
    SELECT min(tenant_id) FROM audit
    UNION ALL SELECT (SELECT min(a.tenant_id) FROM audit a WHERE a.tenant_id > f.number) FROM found f WHERE f.number IS NOT NULL
  ) SELECT a.* FROM found f, LATERAL (SELECT * FROM audit o WHERE o.tenant_id = f.number AND o.audit_id > above AND o.audit_id <= up_to) a
$$;
-- The first and the last number of that log; 0 without one.
CREATE FUNCTION door_audit_span(OUT oldest bigint, OUT newest bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  WITH RECURSIVE found (number) AS (
    SELECT min(tenant_id) FROM audit
    UNION ALL SELECT (SELECT min(a.tenant_id) FROM audit a WHERE a.tenant_id > f.number) FROM found f WHERE f.number IS NOT NULL
  ) SELECT coalesce(min(a.low), 0), coalesce(max(a.high), 0)
  FROM found f, LATERAL (SELECT min(o.audit_id) AS low, max(o.audit_id) AS high FROM audit o WHERE o.tenant_id = f.number) a
$$;

-- R38: an expiry needs no write to deny, but the revision moves after it; `swept` says that it has.
ALTER TABLE binding ADD COLUMN swept boolean NOT NULL DEFAULT false;
-- Tenants in which a binding has expired unnoticed, or so long ago that it goes.
CREATE FUNCTION door_expired_bindings(expired_by timestamptz, gone_by timestamptz, how_many int) RETURNS TABLE (id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id FROM tenant t
  WHERE EXISTS (SELECT 1 FROM binding b WHERE b.tenant_id = t.tenant_id AND b.expires_at <= expired_by AND (NOT b.swept OR b.expires_at <= gone_by))
  ORDER BY t.tenant_id LIMIT how_many
$$;

-- What is true of the whole instance, one row a fact: so far which release and catalogue the managed roles come from (R23).
CREATE TABLE instance_fact (
  name       text PRIMARY KEY,
  value      text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE OR REPLACE FUNCTION give_rights(app name) RETURNS void LANGUAGE plpgsql SET search_path = rosterd, pg_temp AS $$
DECLARE f regprocedure;
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA rosterd TO %I', app);
  EXECUTE format('GRANT USAGE ON SEQUENCE account_seq, token_seq, tenant_seq, tenant_epoch_seq, role_seq, binding_seq, source_seq, run_seq, audit_seq, '
                 'session_seq, invitation_seq TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON account, account_token, account_session, sign_in_attempt, tenant, tenant_user, tenant_group, '
                 'service_account, service_account_token, membership, role, binding, invitation, source, source_state, source_lease, run TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE ON instance_fact TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT ON run_change, run_change_pack, audit TO %I', app);
  EXECUTE format('GRANT SELECT ON audit_change, run_change_whole, schema_migration TO %I', app);
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), app);
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'rosterd'::regnamespace AND p.proname <> 'give_rights' LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, app);
  END LOOP;
END $$;

REVOKE ALL ON FUNCTION door_audit(bigint, bigint), door_audit_span(), door_expired_bindings(timestamptz, timestamptz, int) FROM PUBLIC;
