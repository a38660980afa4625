-- The only doors through the wall: what rosterd must ask or do across tenants, or with more right than its role has. Each is one
-- narrow function in the owner's name with a fixed search_path; nothing else in rosterd can cross. They take and give numbers and
-- ids, never a free text to run.

-- A verb's first step: from the slug to the number it then names as its tenant.
CREATE FUNCTION door_tenant(slug text, OUT tenant_id int, OUT enabled boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.tenant_id, t.enabled FROM tenant t WHERE t.id = slug COLLATE "C"
$$;

-- The list of tenants: all, or those where an account has a user.
CREATE FUNCTION door_tenants(after_id text, prefix text, linked_account bigint, how_many int)
  RETURNS TABLE (id text, name text, enabled boolean, created_at timestamptz, created_by bigint, epoch int, revision bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id, t.name, t.enabled, t.created_at, t.created_by, t.epoch, t.revision FROM tenant t
  WHERE t.id > after_id COLLATE "C" AND starts_with(t.id, prefix)
    AND (linked_account IS NULL OR EXISTS (SELECT 1 FROM tenant_user u WHERE u.tenant_id = t.tenant_id AND u.account_id = linked_account))
  ORDER BY t.id LIMIT how_many
$$;

-- The one-second poll of every replica.
CREATE FUNCTION door_revisions() RETURNS TABLE (id text, epoch int, revision bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id, t.epoch, t.revision FROM tenant t
$$;

-- A source without a lease holder has no run that runs: whoever held it died or was stopped.
CREATE FUNCTION abandon_runs(of_tenant int, of_source bigint, why text, words text) RETURNS bigint
  LANGUAGE sql SET search_path = rosterd, pg_temp AS $$
  WITH gone AS (UPDATE run SET outcome = 8, reason = why, detail = words, finished_at = clock_timestamp(), progress = ''
                WHERE tenant_id = of_tenant AND source_id = of_source AND outcome = 2 RETURNING 1)
  SELECT count(*) FROM gone
$$;

-- Takes the lease of one source that has work and is free, and starts its run. Requested runs come before scheduled ones; then the
-- tenant with the fewest runs at this moment, so that one with a thousand sources cannot keep the others waiting; then who waited
-- longest. SKIP LOCKED: two replicas asking at once get two different sources.
CREATE FUNCTION door_claim(who text, lease_ms bigint, at timestamptz)
  RETURNS TABLE (tenant_id int, slug text, source_id bigint, run_id bigint, fence bigint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
#variable_conflict use_column
DECLARE
  candidate record;
  waiting record;
  taken record;
  the_run bigint;
BEGIN
  FOR candidate IN
    SELECT s.tenant_id, t.id AS slug, s.source_id, s.name, q.queued_at, st.next_due
    FROM source s
    JOIN tenant t ON t.tenant_id = s.tenant_id AND t.enabled
    JOIN source_state st ON st.tenant_id = s.tenant_id AND st.source_id = s.source_id
    JOIN source_lease l ON l.tenant_id = s.tenant_id AND l.source_id = s.source_id
    LEFT JOIN LATERAL (SELECT min(r.queued_at) AS queued_at FROM run r
                       WHERE r.tenant_id = s.tenant_id AND r.source_id = s.source_id AND r.outcome = 1) q ON true
    LEFT JOIN (SELECT b.tenant_id, count(*) AS busy FROM source_lease b WHERE b.expires_at > clock_timestamp() GROUP BY b.tenant_id) b
      ON b.tenant_id = s.tenant_id
    WHERE s.enabled AND (l.expires_at IS NULL OR l.expires_at <= clock_timestamp()) AND (q.queued_at IS NOT NULL OR st.next_due <= at)
    ORDER BY q.queued_at IS NULL, coalesce(b.busy, 0), coalesce(q.queued_at, st.next_due), s.tenant_id, s.source_id
  LOOP
    SELECT l.* INTO taken FROM source_lease l
      WHERE l.tenant_id = candidate.tenant_id AND l.source_id = candidate.source_id
        AND (l.expires_at IS NULL OR l.expires_at <= clock_timestamp())
      FOR UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    -- Looked at again under the lock: another replica may have done this work between our two looks.
    SELECT r.run_id INTO waiting FROM run r
      WHERE r.tenant_id = candidate.tenant_id AND r.source_id = candidate.source_id AND r.outcome = 1
      ORDER BY r.queued_at, r.run_id LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
      PERFORM 1 FROM source_state st
        WHERE st.tenant_id = candidate.tenant_id AND st.source_id = candidate.source_id AND st.next_due <= at;
      CONTINUE WHEN NOT FOUND;
    END IF;
    PERFORM abandon_runs(candidate.tenant_id, candidate.source_id, 'lease_expired', 'whoever ran it stopped without ending it; nothing was applied');
    IF waiting.run_id IS NOT NULL THEN
      the_run := waiting.run_id;
      UPDATE run r SET outcome = 2, started_at = clock_timestamp(), finished_at = NULL
        WHERE r.tenant_id = candidate.tenant_id AND r.run_id = the_run;
    ELSE
      INSERT INTO run AS r (tenant_id, source_id, source_name, mode, trigger, outcome, started_at)
        VALUES (candidate.tenant_id, candidate.source_id, candidate.name, 1, 1, 2, clock_timestamp()) RETURNING r.run_id INTO the_run;
    END IF;
    UPDATE source_lease l SET fence = l.fence + 1, holder = who, run_id = the_run,
                              expires_at = clock_timestamp() + lease_ms * interval '1 millisecond'
      WHERE l.tenant_id = candidate.tenant_id AND l.source_id = candidate.source_id;
    RETURN QUERY SELECT candidate.tenant_id, candidate.slug, candidate.source_id, the_run, taken.fence + 1;
    RETURN;
  END LOOP;
END $$;

-- When the next free source is due; a requested run is due now.
CREATE FUNCTION door_next_due() RETURNS timestamptz
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT min(CASE WHEN EXISTS (SELECT 1 FROM run r WHERE r.tenant_id = s.tenant_id AND r.source_id = s.source_id AND r.outcome = 1)
                  THEN least(st.next_due, now()) ELSE st.next_due END)
  FROM source s
  JOIN tenant t ON t.tenant_id = s.tenant_id AND t.enabled
  JOIN source_state st ON st.tenant_id = s.tenant_id AND st.source_id = s.source_id
  JOIN source_lease l ON l.tenant_id = s.tenant_id AND l.source_id = s.source_id
  WHERE s.enabled AND (l.expires_at IS NULL OR l.expires_at <= clock_timestamp())
$$;

-- Housekeeping over all tenants; gives the number of abandoned runs.
CREATE FUNCTION door_sweep(at timestamptz) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
DECLARE
  dead record;
  abandoned bigint := 0;
  purged bigint[];
  of_tenant record;
BEGIN
  FOR dead IN SELECT l.tenant_id, l.source_id FROM source_lease l WHERE l.expires_at <= clock_timestamp() FOR UPDATE SKIP LOCKED LOOP
    abandoned := abandoned + abandon_runs(dead.tenant_id, dead.source_id, 'lease_expired',
                                          'whoever ran it stopped without ending it; nothing was applied');
    -- The next fence is given out with the next claim; raising it here too makes a sleeper's heartbeat fail at once.
    UPDATE source_lease l SET expires_at = NULL, holder = '', run_id = 0, fence = l.fence + 1
      WHERE l.tenant_id = dead.tenant_id AND l.source_id = dead.source_id;
  END LOOP;

  UPDATE run SET approval_expires_at = NULL, reason = 'approval_expired', detail = detail || ' (nobody approved it in time)'
    WHERE approval_expires_at <= at AND outcome = 6;

  FOR of_tenant IN
    SELECT t.tenant_id, t.id FROM tenant t
    WHERE EXISTS (SELECT 1 FROM tenant_user u WHERE u.tenant_id = t.tenant_id AND u.leaving = 5 AND u.suspended_at <= at - interval '30 days')
       OR EXISTS (SELECT 1 FROM tenant_group g WHERE g.tenant_id = t.tenant_id AND g.leaving = 5 AND g.suspended_at <= at - interval '30 days')
    FOR NO KEY UPDATE
  LOOP
    WITH u AS (DELETE FROM tenant_user WHERE tenant_id = of_tenant.tenant_id AND leaving = 5 AND suspended_at <= at - interval '30 days' RETURNING id),
         g AS (DELETE FROM tenant_group WHERE tenant_id = of_tenant.tenant_id AND leaving = 5 AND suspended_at <= at - interval '30 days' RETURNING id)
    SELECT array_agg(id) INTO purged FROM (SELECT id FROM u UNION ALL SELECT id FROM g) gone;
    DELETE FROM membership WHERE tenant_id = of_tenant.tenant_id AND (group_id = ANY (purged) OR member_id = ANY (purged));
    DELETE FROM binding WHERE tenant_id = of_tenant.tenant_id AND principal_id = ANY (purged);
    UPDATE tenant SET revision = revision + 1 WHERE tenant_id = of_tenant.tenant_id;
    INSERT INTO audit (tenant_id, tenant, actor, action, object_type, after, epoch, revision)
      SELECT t.tenant_id, t.id, 'sweep', 'purged', 'principal', json_build_object('ids', purged)::text, t.epoch, t.revision
      FROM tenant t WHERE t.tenant_id = of_tenant.tenant_id;
  END LOOP;
  RETURN abandoned;
END $$;

-- The daemon's role cannot delete run_change. A plan that was never applied is no history, though: it may be replaced when its run is
-- applied after an approval, or dropped with its source. Only for the tenant the transaction has named.
CREATE FUNCTION door_forget_plan(of_run bigint) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  DELETE FROM run_change c USING run r
  WHERE r.tenant_id = current_tenant() AND r.run_id = of_run AND NOT r.applied AND c.tenant_id = r.tenant_id AND c.run_id = r.run_id;
  DELETE FROM run_change_pack c USING run r
  WHERE r.tenant_id = current_tenant() AND r.run_id = of_run AND NOT r.applied AND c.tenant_id = r.tenant_id AND c.run_id = r.run_id
$$;

-- Everything of the named tenant but its audit rows (R88). Only for the tenant the transaction has named.
CREATE FUNCTION door_delete_tenant() RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['run_change', 'run_change_pack', 'run', 'source_lease', 'source_state', 'source', 'binding', 'role', 'membership', 'service_account_token',
                           'service_account', 'tenant_user', 'tenant_group', 'tenant'] LOOP
    EXECUTE format('DELETE FROM %I WHERE tenant_id = $1', t) USING current_tenant();
  END LOOP;
END $$;

-- Retention: the one way by which history ends (R108). Plans of held runs stay.
CREATE FUNCTION door_forget_history(older_than timestamptz, OUT audit_rows bigint, OUT change_rows bigint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
BEGIN
  DELETE FROM audit a WHERE a.at < older_than;
  GET DIAGNOSTICS audit_rows = ROW_COUNT;
  DELETE FROM run_change c USING run r
    WHERE r.tenant_id = c.tenant_id AND r.run_id = c.run_id AND r.finished_at < older_than AND r.approval_expires_at IS NULL AND r.outcome > 2;
  GET DIAGNOSTICS change_rows = ROW_COUNT;
  WITH gone AS (DELETE FROM run_change_pack c USING run r
                WHERE r.tenant_id = c.tenant_id AND r.run_id = c.run_id AND r.finished_at < older_than AND r.approval_expires_at IS NULL AND r.outcome > 2
                RETURNING 1)
  SELECT change_rows + count(*) INTO change_rows FROM gone;
END $$;

-- Numbers for principals, `how_many` in a row; gives the first. nextval and setval are two steps, so everybody who takes a number takes it
-- here, one after the other until commit; the daemon's role has no right on the sequence itself and cannot wind it back.
CREATE FUNCTION door_reserve_ids(how_many bigint) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
DECLARE first_one bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('rosterd.principal_seq'));
  first_one := nextval('principal_seq');
  IF how_many > 1 THEN PERFORM setval('principal_seq', first_one + how_many - 1); END IF;
  RETURN first_one;
END $$;
