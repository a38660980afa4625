-- What a first load costs. An index of all memberships by member made each of them cost twice as much to insert, and served what is asked rarely
-- and can be found by walking over the tenant's part of the primary key (60 ms for half a million): the groups of one principal, and who
-- is purged. Local memberships are few, and whoever deletes a local principal asks for his.
DROP INDEX membership_of;
CREATE INDEX membership_local ON membership (tenant_id, member_id) WHERE source_id = 0;

-- Groups of a first load are packed like users: the name of one is in "name", not in "username".
CREATE OR REPLACE VIEW run_change_whole WITH (security_invoker = true) AS
  SELECT tenant_id, run_id, seq, type, kind, object_id, content_hash, before_hash, leaving, member_type, member_id, role_id, binding_id,
         external_id, name, reason, member_external_id, before, after
  FROM run_change
  UNION ALL
  SELECT p.tenant_id, p.run_id, c.s, p.type, p.kind, c.o, coalesce(c.h, 0), 0, coalesce(c.l, 0::smallint),
         CASE WHEN p.type = 4 THEN coalesce(c.t, 1::smallint) ELSE 0::smallint END, c.m, NULL, NULL, c.x,
         coalesce(c.a ->> 'username', c.a ->> 'name'), coalesce(c.r, p.reason), c.y, NULL, c.a::text
  FROM run_change_pack p,
       LATERAL json_to_recordset(p.changes::json) AS c (s bigint, o bigint, x text, h bigint, l smallint, r text, a json, m bigint, t smallint, y text);
