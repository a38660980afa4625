-- Every transaction in a tenant begins here. As a function in SQL it was parsed and planned for each of them; plpgsql keeps its plan with the
-- connection.
CREATE OR REPLACE FUNCTION door_tenant(slug text, OUT tenant_id int, OUT enabled boolean)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = rosterd, pg_temp AS $$
BEGIN
  SELECT t.tenant_id, t.enabled INTO door_tenant.tenant_id, door_tenant.enabled FROM tenant t WHERE t.id = slug COLLATE "C";
END $$;
