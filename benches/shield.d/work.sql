-- An order holds its connection for some 300 ms before it takes its piece, so that connections bound the database and not the
-- processor. The trigger of a statement runs before the hot row is locked.
CREATE OR REPLACE FUNCTION millrace.work() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_sleep(0.3 * (0.8 + 0.4 * random()));
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER work BEFORE UPDATE ON millrace.stock FOR EACH STATEMENT EXECUTE FUNCTION millrace.work();
