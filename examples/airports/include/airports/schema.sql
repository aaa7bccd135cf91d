-- The warehouse of this project. Every statement may run again.

CREATE TABLE IF NOT EXISTS airports (
    icao          text PRIMARY KEY,
    iata          text,
    name          text NOT NULL,
    city          text,
    subdivision   text,
    country       text NOT NULL,
    region        text NOT NULL,
    elevation_ft  integer NOT NULL,
    latitude      double precision NOT NULL,
    longitude     double precision NOT NULL,
    timezone      text NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now()
);

-- Rows of the latest run that broke a rule: for a person to look at.
CREATE TABLE IF NOT EXISTS quarantine (
    run_id text NOT NULL,
    icao   text NOT NULL,
    reason text NOT NULL,
    row    jsonb NOT NULL
);

-- One row per run and region: what was loaded, and how much of it was new or different.
CREATE TABLE IF NOT EXISTS loads (
    run_id       text NOT NULL,
    region       text NOT NULL,
    rows         integer NOT NULL,
    changed_rows integer NOT NULL,
    loaded_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, region)
);

-- Work tables: they hold the latest run, and need not survive a crash of the server.
CREATE UNLOGGED TABLE IF NOT EXISTS register_staging (
    run_id text NOT NULL,
    row    jsonb NOT NULL
);

CREATE UNLOGGED TABLE IF NOT EXISTS airports_staging (
    run_id       text NOT NULL,
    icao         text NOT NULL,
    iata         text,
    name         text NOT NULL,
    city         text,
    subdivision  text,
    country      text NOT NULL,
    region       text NOT NULL,
    elevation_ft integer NOT NULL,
    latitude     double precision NOT NULL,
    longitude    double precision NOT NULL,
    timezone     text NOT NULL
);
