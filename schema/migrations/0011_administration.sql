-- Administration of a tenant by people and applications: tokens of service accounts, and what is looked up when something local changes.

ALTER TABLE account_token ADD COLUMN description text NOT NULL DEFAULT '', ADD COLUMN max_age_ms bigint, ADD COLUMN sliding boolean NOT NULL DEFAULT false;
ALTER TABLE service_account_token ADD COLUMN description text NOT NULL DEFAULT '', ADD COLUMN max_age_ms bigint, ADD COLUMN sliding boolean NOT NULL DEFAULT false;

-- A presented token names no tenant, and the keys of tenants' tables begin with one: this list says where each token lives. It is for the doors
-- below alone (the daemon's role has no right on it), and kept by the tokens' table itself.
CREATE TABLE token_home (
  hash bytea PRIMARY KEY,
  home int NOT NULL  -- tenant_id
);
CREATE FUNCTION house_token() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO token_home (hash, home) VALUES (NEW.hash, NEW.tenant_id);
  ELSE
    DELETE FROM token_home WHERE hash = OLD.hash;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER house_token AFTER INSERT OR DELETE ON service_account_token FOR EACH ROW EXECUTE FUNCTION house_token();
CREATE INDEX service_account_token_of ON service_account_token (tenant_id, service_account_id);

-- decisions/0004: no index by member over all memberships, that is what a first load would pay for. Nesting is little: the way up from a group.
CREATE INDEX membership_nested ON membership (tenant_id, member_id) WHERE member_type = 2;

CREATE INDEX binding_expiring ON binding (tenant_id, expires_at) WHERE expires_at IS NOT NULL;

-- Who did it, when that was an application: rows of people and of rosterd itself have neither.
ALTER TABLE audit ADD COLUMN service_account_id bigint;

-- The owner of a live token of a service account (R52, R58): not expired or revoked, owner and tenant enabled.
CREATE FUNCTION door_service_token(of_hash bytea)
  RETURNS TABLE (tenant text, service_account_id bigint, service_account text, token_id bigint, token text, note_use int)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  SELECT t.id, s.id, s.name, k.token_id, k.name, (k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute')::int
  FROM token_home h
  JOIN service_account_token k ON k.tenant_id = h.home AND k.hash = h.hash
  JOIN service_account s ON s.tenant_id = k.tenant_id AND s.id = k.service_account_id AND s.enabled
  JOIN tenant t ON t.tenant_id = k.tenant_id AND t.enabled
  WHERE h.hash = of_hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
$$;

-- A token was used: at most once a minute it says so, and a sliding one lives on from here (R57). SKIP LOCKED: many requests of one token at
-- once must not queue up for a time stamp.
CREATE FUNCTION door_note_service_token(of_hash bytea) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  UPDATE service_account_token k
  SET last_used_at = now(), expires_at = CASE WHEN k.sliding THEN now() + k.max_age_ms * interval '1 millisecond' ELSE k.expires_at END
  FROM (SELECT o.tenant_id, o.token_id FROM token_home h JOIN service_account_token o ON o.tenant_id = h.home AND o.hash = h.hash
        WHERE h.hash = of_hash FOR UPDATE OF o SKIP LOCKED) one
  WHERE k.tenant_id = one.tenant_id AND k.token_id = one.token_id
$$;

-- What a check asks of an account has changed (super admin, enabled): the tenants it is linked in move on, in ascending order, so that two
-- such changes and the tenants' own never wait for each other in a circle. Gives them, for the snapshots.
CREATE FUNCTION door_move_linked(of_account bigint) RETURNS TABLE (id text, epoch int, revision bigint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
#variable_conflict use_column
DECLARE linked record;
BEGIN
  FOR linked IN
    SELECT t.tenant_id FROM tenant t
    WHERE EXISTS (SELECT 1 FROM tenant_user u WHERE u.tenant_id = t.tenant_id AND u.account_id = of_account)
    ORDER BY t.tenant_id FOR NO KEY UPDATE
  LOOP
    RETURN QUERY UPDATE tenant t SET revision = t.revision + 1 WHERE t.tenant_id = linked.tenant_id RETURNING t.id, t.epoch, t.revision;
  END LOOP;
END $$;

-- Before an account is deleted: users linked to it stay, without the link (R10).
CREATE FUNCTION door_unlink_account(of_account bigint) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
  UPDATE tenant_user u SET account_id = NULL FROM tenant t WHERE u.tenant_id = t.tenant_id AND u.account_id = of_account
$$;

REVOKE ALL ON FUNCTION house_token(), door_service_token(bytea), door_note_service_token(bytea), door_move_linked(bigint), door_unlink_account(bigint) FROM PUBLIC;
