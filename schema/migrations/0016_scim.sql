-- Providers that push (SCIM 2.0): their tokens, what they sent, what a person has let through the guard, and that nobody claims such a source.

-- A token belongs to one source and opens that source's SCIM paths alone. Like those of service accounts, but found by a door of its own, so
-- that no other verb ever takes one for a caller.
CREATE TABLE source_token (
  tenant_id    int NOT NULL,
  token_id     bigint NOT NULL DEFAULT nextval('token_seq'),
  source_id    bigint NOT NULL,
  name         text NOT NULL,
  description  text NOT NULL DEFAULT '',
  hash         bytea NOT NULL,
  last4        text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  max_age_ms   bigint,
  sliding      boolean NOT NULL DEFAULT false,
  revoked_at   timestamptz,
  last_used_at timestamptz,
  PRIMARY KEY (tenant_id, token_id),
  UNIQUE (tenant_id, hash),
  FOREIGN KEY (tenant_id, source_id) REFERENCES source ON DELETE CASCADE
);
CREATE INDEX source_token_of ON source_token (tenant_id, source_id);
CREATE TRIGGER house_token AFTER INSERT OR DELETE ON source_token FOR EACH ROW EXECUTE FUNCTION house_token();

-- What was sent, beside the columns of tenant_user and tenant_group that the rest of rosterd reads. The document is JSON that rosterd writes and
-- SQL never looks into. Whoever the provider has deleted keeps his row until he is purged: the same externalId finds him again (S54).
CREATE TABLE scim_resource (
  tenant_id   int NOT NULL,
  source_id   bigint NOT NULL,
  type        smallint NOT NULL,        -- enum PrincipalType
  id          bigint NOT NULL,
  version     bigint NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now(),
  modified_at timestamptz NOT NULL DEFAULT now(),
  deleted_at  timestamptz,
  external_id text COLLATE "C",
  name        text NOT NULL,            -- userName or displayName
  name_key    text COLLATE "C" NOT NULL,  -- folded
  work_email  text COLLATE "C",         -- folded
  document    text NOT NULL,
  PRIMARY KEY (tenant_id, source_id, type, id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES source ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX scim_resource_name ON scim_resource (tenant_id, source_id, type, name_key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX scim_resource_external ON scim_resource (tenant_id, source_id, type, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX scim_resource_email ON scim_resource (tenant_id, source_id, type, work_email) WHERE work_email IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX scim_resource_gone ON scim_resource (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;

-- A removal that the guard refused and a person then approved: it goes through when the provider asks again, once.
CREATE TABLE scim_allowance (
  tenant_id  int NOT NULL,
  source_id  bigint NOT NULL,
  object_id  bigint NOT NULL,
  run_id     bigint NOT NULL,           -- the held run it was approved with
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, source_id, object_id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES source ON DELETE CASCADE
);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['source_token', 'scim_resource', 'scim_allowance'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY wall ON %I USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
    EXECUTE format('CREATE POLICY owners_doors ON %I TO CURRENT_USER USING (true) WITH CHECK (true)', t);
  END LOOP;
END $$;

-- The source of a live token: neither expired nor revoked, tenant enabled (R87). A disabled source is found, so that its provider hears why.
CREATE FUNCTION door_source_token(of_hash bytea)
  RETURNS TABLE (tenant text, source_id bigint, source text, enabled int, token_id bigint, version bigint, guard_percent double precision,
                 guard_floor bigint, guard_ceiling bigint, role_mappings text, note_use int)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id, s.source_id, s.name, s.enabled::int, k.token_id, s.version, s.guard_percent, s.guard_floor, s.guard_ceiling, s.role_mappings,
         (k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute')::int
  FROM token_home h
  JOIN source_token k ON k.tenant_id = h.home AND k.hash = h.hash
  JOIN source s ON s.tenant_id = k.tenant_id AND s.source_id = k.source_id
  JOIN tenant t ON t.tenant_id = k.tenant_id AND t.enabled
  WHERE h.hash = of_hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
$$;
CREATE FUNCTION door_note_source_token(of_hash bytea) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  UPDATE source_token k
  SET last_used_at = now(), expires_at = CASE WHEN k.sliding THEN now() + k.max_age_ms * interval '1 millisecond' ELSE k.expires_at END
  FROM (SELECT o.tenant_id, o.token_id FROM token_home h JOIN source_token o ON o.tenant_id = h.home AND o.hash = h.hash
        WHERE h.hash = of_hash FOR UPDATE OF o SKIP LOCKED) one
  WHERE k.tenant_id = one.tenant_id AND k.token_id = one.token_id
$$;

-- S24, S54: what a provider deleted 30 days ago goes, with its edges and bindings; for runs of other sources the engine does the same. One
-- revision and one audit row a tenant. An edge is found from its group's side: no index leads to it by member (decisions/0004).
CREATE FUNCTION door_sweep_pushed(at timestamptz) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
DECLARE
  of_tenant record;
  purged bigint[];
  swept bigint := 0;
BEGIN
  FOR of_tenant IN
    SELECT t.tenant_id, t.id FROM tenant t
    WHERE EXISTS (SELECT 1 FROM scim_resource r WHERE r.tenant_id = t.tenant_id AND r.deleted_at <= at - interval '30 days')
    ORDER BY t.tenant_id FOR NO KEY UPDATE
  LOOP
    WITH gone AS (DELETE FROM scim_resource WHERE tenant_id = of_tenant.tenant_id AND deleted_at <= at - interval '30 days' RETURNING id)
    SELECT array_agg(id) INTO purged FROM gone;
    DELETE FROM tenant_user WHERE tenant_id = of_tenant.tenant_id AND id = ANY (purged) AND leaving <> 0;
    DELETE FROM tenant_group WHERE tenant_id = of_tenant.tenant_id AND id = ANY (purged) AND leaving <> 0;
    DELETE FROM membership WHERE tenant_id = of_tenant.tenant_id AND (group_id = ANY (purged) OR member_id = ANY (purged));
    DELETE FROM binding WHERE tenant_id = of_tenant.tenant_id AND principal_id = ANY (purged);
    UPDATE tenant SET revision = revision + 1 WHERE tenant_id = of_tenant.tenant_id;
    INSERT INTO audit (tenant_id, tenant, actor, action, object_type, after, epoch, revision)
      SELECT t.tenant_id, t.id, 'sweep', 'purged', 'principal', json_build_object('ids', purged)::text, t.epoch, t.revision
      FROM tenant t WHERE t.tenant_id = of_tenant.tenant_id;
    swept := swept + coalesce(array_length(purged, 1), 0);
  END LOOP;
  DELETE FROM scim_allowance WHERE expires_at <= at;
  RETURN swept;
END $$;

-- Nobody watches the age of a read that never happens.
CREATE OR REPLACE FUNCTION door_source_ages()
  RETURNS TABLE (tenant text, source_id bigint, source text, interval_ms bigint, full_every_ms bigint, read_at timestamptz, made_at timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id, s.source_id, s.name, s.interval_ms, s.full_every_ms, st.last_complete_read, s.created_at
  FROM source s
  JOIN tenant t ON t.tenant_id = s.tenant_id
  JOIN source_state st ON st.tenant_id = s.tenant_id AND st.source_id = s.source_id
  WHERE s.enabled AND t.enabled AND s.type <> 'scim_push'
$$;

-- As in 0009, but for sources that are written to: they are never due.
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
    WHERE s.type <> 'scim_push' AND (l.expires_at IS NULL OR l.expires_at <= clock_timestamp()) AND (q.queued_at IS NOT NULL OR (s.enabled AND st.next_due <= at))
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

CREATE OR REPLACE FUNCTION give_rights(app name) RETURNS void LANGUAGE plpgsql SET search_path = rosterd, pg_temp AS $$
DECLARE f regprocedure;
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA rosterd TO %I', app);
  EXECUTE format('GRANT USAGE ON SEQUENCE account_seq, token_seq, tenant_seq, tenant_epoch_seq, role_seq, binding_seq, source_seq, run_seq, audit_seq, '
                 'session_seq, invitation_seq TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON account, account_token, account_session, account_identity, sign_in_attempt, tenant, tenant_user, tenant_group, '
                 'service_account, service_account_token, user_session, membership, role, binding, invitation, source, source_state, source_lease, source_token, scim_resource, scim_allowance, run TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE ON instance_fact TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT ON run_change, run_change_pack, audit TO %I', app);
  EXECUTE format('GRANT SELECT ON audit_change, run_change_whole, schema_migration TO %I', app);
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), app);
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'rosterd'::regnamespace AND p.proname <> 'give_rights' LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, app);
  END LOOP;
END $$;

REVOKE ALL ON FUNCTION door_source_token(bytea), door_note_source_token(bytea), door_sweep_pushed(timestamptz) FROM PUBLIC;
