-- A dry run of a source that is not enabled, so that its first plan can be looked at before anything is let in; and the version of the
-- settings a run worked with in a column of its own, since it is no finding for people to read.

ALTER TABLE run ADD COLUMN source_version bigint NOT NULL DEFAULT 0;  -- 0 = before this column
UPDATE run SET
    source_version = (SELECT coalesce(max((n ->> 'count')::bigint), 0) FROM json_array_elements(notices::json) n
                      WHERE n ->> 'code' = 'source_version'),
    notices = coalesce((SELECT json_agg(n)::text FROM json_array_elements(notices::json) n WHERE n ->> 'code' <> 'source_version'), '[]')
  WHERE notices LIKE '%"source_version"%';

-- As in 0006, but for the requested dry runs of disabled sources.
CREATE OR REPLACE FUNCTION door_claim(who text, lease_ms bigint, at timestamptz)
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
    SELECT s.tenant_id, t.id AS slug, s.source_id, s.name, s.enabled, q.queued_at, st.next_due
    FROM source s
    JOIN tenant t ON t.tenant_id = s.tenant_id AND t.enabled
    JOIN source_state st ON st.tenant_id = s.tenant_id AND st.source_id = s.source_id
    JOIN source_lease l ON l.tenant_id = s.tenant_id AND l.source_id = s.source_id
    LEFT JOIN LATERAL (SELECT min(r.queued_at) AS queued_at FROM run r
                       WHERE r.tenant_id = s.tenant_id AND r.source_id = s.source_id AND r.outcome = 1 AND (s.enabled OR r.dry_run)) q ON true
    LEFT JOIN (SELECT b.tenant_id, count(*) AS busy FROM source_lease b WHERE b.expires_at > clock_timestamp() GROUP BY b.tenant_id) b
      ON b.tenant_id = s.tenant_id
    WHERE (l.expires_at IS NULL OR l.expires_at <= clock_timestamp()) AND (q.queued_at IS NOT NULL OR (s.enabled AND st.next_due <= at))
    ORDER BY q.queued_at IS NULL, coalesce(b.busy, 0), coalesce(q.queued_at, st.next_due), s.tenant_id, s.source_id
  LOOP
    SELECT l.* INTO taken FROM source_lease l
      WHERE l.tenant_id = candidate.tenant_id AND l.source_id = candidate.source_id
        AND (l.expires_at IS NULL OR l.expires_at <= clock_timestamp())
      FOR UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    -- Looked at again under the lock: another replica may have done this work between our two looks.
    SELECT r.run_id INTO waiting FROM run r
      WHERE r.tenant_id = candidate.tenant_id AND r.source_id = candidate.source_id AND r.outcome = 1 AND (candidate.enabled OR r.dry_run)
      ORDER BY r.queued_at, r.run_id LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
      CONTINUE WHEN NOT candidate.enabled;
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
