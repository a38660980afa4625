-- The wall between tenants: forced row-level security on every table that holds a tenant's rows. A transaction names its tenant in
-- rosterd.tenant (set locally by the verb that opens it); without a name it sees nothing and can write nothing. The sub-select
-- makes the setting be read once a statement instead of once a row.
--
-- The second policy belongs to the owner alone, in whose name the functions of 0006 run. The daemon's role is not the owner and not
-- a member of it (open() checks), so that policy never applies to its own statements.

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['tenant', 'tenant_user', 'tenant_group', 'service_account', 'service_account_token', 'membership', 'role',
                           'binding', 'source', 'source_state', 'source_lease', 'run', 'run_change', 'run_change_pack', 'audit'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY wall ON %I USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
    EXECUTE format('CREATE POLICY owners_doors ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', t);
  END LOOP;
END $$;

-- A run's record whole: rows as they are, packs taken apart.
CREATE VIEW run_change_whole WITH (security_invoker = true) AS
  SELECT tenant_id, run_id, seq, type, kind, object_id, content_hash, before_hash, leaving, member_type, member_id, role_id, binding_id,
         external_id, name, reason, member_external_id, before, after
  FROM run_change
  UNION ALL
  SELECT p.tenant_id, p.run_id, c.s, p.type, p.kind, c.o, coalesce(c.h, 0), 0, coalesce(c.l, 0::smallint),
         CASE WHEN p.type = 4 THEN coalesce(c.t, 1::smallint) ELSE 0::smallint END, c.m, NULL, NULL, c.x, c.a ->> 'username', coalesce(c.r, p.reason), c.y,
         NULL, c.a::text
  FROM run_change_pack p,
       LATERAL json_to_recordset(p.changes::json) AS c (s bigint, o bigint, x text, h bigint, l smallint, r text, a json, m bigint, t smallint, y text);

-- What the audit log shows of a run, object by object (docs/decisions/0002).
CREATE VIEW audit_change WITH (security_invoker = true) AS
  SELECT a.tenant_id, a.audit_id, a.at, a.account_id, a.actor, a.run_id, c.seq, c.type, c.kind, c.object_id, c.external_id, c.name, c.before,
         c.after, c.reason, c.member_id, c.member_type, c.member_external_id, a.epoch, a.revision
  FROM audit a JOIN run_change_whole c ON c.tenant_id = a.tenant_id AND c.run_id = a.run_id
  WHERE a.action = 'run_applied';
