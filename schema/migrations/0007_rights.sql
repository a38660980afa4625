-- What the daemon's role may do. Its name is chosen by whoever runs rosterd, so the rights are given by a function that open() calls
-- with that name, as the owner. audit and run_change are append-only for it.

CREATE FUNCTION give_rights(app name) RETURNS void LANGUAGE plpgsql SET search_path = rosterd, pg_temp AS $$
DECLARE f regprocedure;
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA rosterd TO %I', app);
  EXECUTE format('GRANT USAGE ON SEQUENCE account_seq, token_seq, tenant_seq, tenant_epoch_seq, role_seq, binding_seq, source_seq, run_seq, audit_seq TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON account, account_token, tenant, tenant_user, tenant_group, service_account, '
                 'service_account_token, membership, role, binding, source, source_state, source_lease, run TO %I', app);
  EXECUTE format('GRANT SELECT, INSERT ON run_change, run_change_pack, audit TO %I', app);
  EXECUTE format('GRANT SELECT ON audit_change, run_change_whole, schema_migration TO %I', app);
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), app);
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'rosterd'::regnamespace AND p.proname <> 'give_rights' LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, app);
  END LOOP;
END $$;

-- Functions are everybody's by default.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rosterd FROM PUBLIC;
