-- The sweep purges what a deleted source left behind (S25) and writes one audit row for all of it, which names them in a list. So few rows are
-- found through an index of their own when somebody asks what became of one.
CREATE INDEX audit_purged ON audit (tenant_id, audit_id) WHERE action = 'purged' AND object_type = 'principal';
