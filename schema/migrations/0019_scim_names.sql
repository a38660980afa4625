-- A pushed object is looked up by its name or externalId for every change. With the name behind tenant, source and type, which the primary key
-- begins with, too, the planner could not tell the two indexes apart until the table had been analysed, and read all of a source's objects.
DROP INDEX scim_resource_name;
CREATE UNIQUE INDEX scim_resource_name ON scim_resource (tenant_id, name_key, source_id, type) WHERE deleted_at IS NULL;
DROP INDEX scim_resource_external;
CREATE UNIQUE INDEX scim_resource_external ON scim_resource (tenant_id, external_id, source_id, type) WHERE external_id IS NOT NULL;
