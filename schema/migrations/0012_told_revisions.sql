-- Replicas hear of a revision when it is committed, and can ask what changed since the one they hold.

-- What happened since revision r, without a look at the rest of the log.
CREATE INDEX audit_revision ON audit (tenant_id, epoch, revision) WHERE revision IS NOT NULL;

-- Whoever moves a revision tells it, whatever statement that is: "acme 7.1042". Delivered at commit, or not at all; who does not hear it
-- finds it in his next poll. Equal texts of one transaction are told once.
CREATE FUNCTION tell_revision() RETURNS trigger LANGUAGE plpgsql SET search_path = rosterd, pg_temp AS $$
BEGIN
  PERFORM pg_notify('rosterd_revision', NEW.id || ' ' || NEW.epoch || '.' || NEW.revision);
  RETURN NULL;
END $$;
CREATE TRIGGER tell_revision AFTER INSERT OR UPDATE OF revision ON tenant FOR EACH ROW EXECUTE FUNCTION tell_revision();

REVOKE ALL ON FUNCTION tell_revision() FROM PUBLIC;
