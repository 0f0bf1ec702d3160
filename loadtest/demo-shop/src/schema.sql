-- The inventory of the demo shop. Several shops may start at once: one of them makes the tables.
BEGIN;
SELECT pg_advisory_xact_lock(7203516429);

CREATE SCHEMA IF NOT EXISTS millrace;

-- One row per sale of a product: the hot row. Every order of a launch takes its piece here.
CREATE TABLE IF NOT EXISTS millrace.stock (
  sale bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  product text NOT NULL,
  pieces bigint NOT NULL CHECK (pieces >= 0),
  left_over bigint NOT NULL CHECK (left_over >= 0),
  opened_at timestamptz NOT NULL DEFAULT now(),
  CHECK (left_over <= pieces)
);

CREATE TABLE IF NOT EXISTS millrace.carts (
  session text NOT NULL,
  product text NOT NULL,
  PRIMARY KEY (session, product)
);

CREATE TABLE IF NOT EXISTS millrace.orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sale bigint NOT NULL REFERENCES millrace.stock,
  session text NOT NULL,
  key text NOT NULL UNIQUE,
  placed_at timestamptz NOT NULL DEFAULT now(),
  reserved_until timestamptz,
  paid_at timestamptz,
  ended_at timestamptz
);
-- Of a database that an earlier version made.
ALTER TABLE millrace.orders ADD COLUMN IF NOT EXISTS reserved_until timestamptz;
ALTER TABLE millrace.orders ADD COLUMN IF NOT EXISTS ended_at timestamptz;

CREATE TABLE IF NOT EXISTS millrace.payments (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id bigint NOT NULL UNIQUE REFERENCES millrace.orders,
  key text NOT NULL UNIQUE,
  made_at timestamptz NOT NULL DEFAULT now()
);

COMMIT;
