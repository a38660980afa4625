-- History that ends, ages that are watched, and what a held plan shows at a glance.

-- The newest run of a source, and what has left through it within a day (S16), without a walk over all its runs.
CREATE INDEX run_finished ON run (tenant_id, source_id, finished_at);
-- audit is written in the order of its times: a few blocks of index find what is older than the retention.
CREATE INDEX audit_at ON audit USING brin (tenant_id, at);

-- The first objects of each kind of a held plan, as status and audit show them (S19): a JSON array of changes, written when the plan is
-- held. Picking them out of a plan of a million changes at every look at the status would cost seconds.
ALTER TABLE run ADD COLUMN held_changes text NOT NULL DEFAULT '[]';

DROP FUNCTION door_next_due();  -- nobody asks: a free worker claims, and the schedule is looked at every second

-- Retention: the one way by which history ends (R108), a bounded piece at a time so that no lock and no transaction is long. Runs go with
-- their changes, but for the newest one of each source that was no dry run, which the status shows; a plan that waits for approval stays.
DROP FUNCTION door_forget_history(timestamptz);
CREATE FUNCTION door_forget_history(older_than timestamptz, how_many int, OUT audit_rows bigint, OUT runs bigint, OUT change_rows bigint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
DECLARE
  old record;
  gone bigint;
BEGIN
  DELETE FROM audit a USING (SELECT tenant_id, audit_id FROM audit WHERE at < older_than LIMIT how_many FOR UPDATE SKIP LOCKED) o
    WHERE a.tenant_id = o.tenant_id AND a.audit_id = o.audit_id;
  GET DIAGNOSTICS audit_rows = ROW_COUNT;
  runs := 0;
  change_rows := 0;
  FOR old IN
    SELECT r.tenant_id, r.run_id FROM run r
    WHERE r.finished_at < older_than AND r.outcome > 2 AND r.approval_expires_at IS NULL
      AND (EXISTS (SELECT 1 FROM run n WHERE n.tenant_id = r.tenant_id AND n.source_id = r.source_id AND n.run_id > r.run_id
                     AND n.outcome > 2 AND NOT n.dry_run)
           OR NOT EXISTS (SELECT 1 FROM source s WHERE s.tenant_id = r.tenant_id AND s.source_id = r.source_id))
    LIMIT how_many FOR UPDATE OF r SKIP LOCKED
  LOOP
    DELETE FROM run_change c WHERE c.tenant_id = old.tenant_id AND c.run_id = old.run_id;
    GET DIAGNOSTICS gone = ROW_COUNT;
    change_rows := change_rows + gone;
    DELETE FROM run_change_pack c WHERE c.tenant_id = old.tenant_id AND c.run_id = old.run_id;
    GET DIAGNOSTICS gone = ROW_COUNT;
    change_rows := change_rows + gone;
    DELETE FROM run r WHERE r.tenant_id = old.tenant_id AND r.run_id = old.run_id;
    runs := runs + 1;
  END LOOP;
END $$;

-- How long ago each source that is scheduled was read completely, or made where it never was (S51).
CREATE FUNCTION door_source_ages() 
  RETURNS TABLE (tenant text, source_id bigint, source text, interval_ms bigint, full_every_ms bigint, read_at timestamptz, made_at timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id, s.source_id, s.name, s.interval_ms, s.full_every_ms, st.last_complete_read, s.created_at
  FROM source s
  JOIN tenant t ON t.tenant_id = s.tenant_id
  JOIN source_state st ON st.tenant_id = s.tenant_id AND st.source_id = s.source_id
  WHERE s.enabled AND t.enabled
$$;

REVOKE ALL ON FUNCTION door_forget_history(timestamptz, int), door_source_ages() FROM PUBLIC;
