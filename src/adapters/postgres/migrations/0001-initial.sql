-- What DynamoDB keeps in the tables AppLogs and Outbox. All names are in the schema "stentor".

-- The identity of this installation: dead letters that were replayed into it are noted under this id.
CREATE TABLE stentor.installation (
    id text NOT NULL
);
INSERT INTO stentor.installation (id) VALUES (gen_random_uuid()::text);

-- One row for each alert that is stored and counted. Its primary key is what makes an alert unique.
-- The key is that of the alert alone, so no partition is part of it.
CREATE TABLE stentor.alert_ids (
    -- The first half of the SHA-256 of the log_id.
    id uuid PRIMARY KEY,
    -- The partition of the row in "alerts", and its place there.
    stored_on date NOT NULL,
    "timestamp" timestamptz NOT NULL,
    -- As in the row, separated by spaces: a duplicate is answered without its row, which is found only among
    -- all rows of the same time.
    routes text NOT NULL
);
CREATE INDEX alert_ids_by_day ON stentor.alert_ids (stored_on);

-- The audit rows, one partition for each day on which rows are stored.
CREATE TABLE stentor.alerts (
    key uuid NOT NULL,
    stored_on date NOT NULL,
    log_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    marker text NOT NULL,
    message text NOT NULL,
    app_name text NOT NULL,
    routes text[] NOT NULL,
    account_id text NOT NULL,
    region text,
    log_group text NOT NULL,
    log_stream text NOT NULL,
    source text NOT NULL,
    pattern text,
    left_out_bytes bigint,
    context_before text,
    context_after text
) PARTITION BY LIST (stored_on);
CREATE INDEX alerts_by_time ON stentor.alerts ("timestamp");
CREATE INDEX alerts_by_app ON stentor.alerts (app_name, "timestamp");
-- Rows of a day whose partition is missing. Usually empty.
CREATE TABLE stentor.alerts_default PARTITION OF stentor.alerts DEFAULT;
CREATE INDEX alerts_default_by_day ON stentor.alerts_default (stored_on);

-- The routes that have or had alerts.
CREATE TABLE stentor.routes (
    route text PRIMARY KEY
);

-- Times of the outbox are in milliseconds since 1970.
CREATE TABLE stentor.cursors (
    route text PRIMARY KEY,
    last_window bigint NOT NULL DEFAULT 0,
    open_window bigint,
    due bigint,
    claimed_by bigint,
    claimed_at bigint,
    closing bigint,
    epoch bigint NOT NULL DEFAULT 0,
    sealed bigint NOT NULL DEFAULT 0,
    counted bigint NOT NULL DEFAULT 0,
    counting_since bigint,
    retired bigint NOT NULL DEFAULT 0,
    burst text,
    patterns text,
    holding text,
    muted_until bigint,
    -- From target to the last epoch before the cursor knew it.
    targets jsonb NOT NULL DEFAULT '{}',
    -- From fallback to true.
    fallbacks jsonb NOT NULL DEFAULT '{}'
);

-- Deflated JSON.
CREATE TABLE stentor.tallies (
    route text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    tally bytea NOT NULL,
    PRIMARY KEY (route, id)
);

-- Deflated JSON.
CREATE TABLE stentor.epochs (
    route text NOT NULL,
    number bigint NOT NULL,
    epoch bytea NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (route, number)
);
CREATE INDEX epochs_by_expiry ON stentor.epochs (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE stentor.targets (
    route text NOT NULL,
    target text NOT NULL,
    is_fallback boolean NOT NULL,
    "offset" bigint,
    lease text,
    leased_until bigint,
    not_before bigint,
    turn bigint,
    failures bigint NOT NULL DEFAULT 0,
    thread text,
    muted bigint NOT NULL DEFAULT 0,
    escalation text,
    last text,
    PRIMARY KEY (route, target, is_fallback)
);

-- What holds for a target on all routes.
CREATE TABLE stentor.channels (
    target text PRIMARY KEY,
    not_before bigint,
    next_turn bigint
);

-- What a route remembers of a pattern, as deflated JSON.
CREATE TABLE stentor.patterns (
    route text NOT NULL,
    -- The id of the pattern.
    id text NOT NULL,
    -- The revision of the history, and that of the history which it replaced.
    revision bigint NOT NULL,
    replaced bigint NOT NULL,
    history bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (route, id)
);
CREATE INDEX patterns_by_expiry ON stentor.patterns (expires_at);

-- Moments that people name, for messages to refer to.
CREATE TABLE stentor.marks (
    id bigint PRIMARY KEY,
    at bigint NOT NULL,
    text text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX marks_by_time ON stentor.marks (at);

-- Until when some consumer counts as behind its stream.
CREATE TABLE stentor.lag (
    stream text PRIMARY KEY,
    until bigint NOT NULL
);

-- Makes the partitions of the next days, deletes what has expired, and drops the partitions of days that
-- are past their retention, in bounded steps. With NULL it only makes partitions. Returns how many partitions were made and dropped,
-- and how many rows were deleted. It runs as its owner, so that the role of the functions needs no
-- right to change a table.
--
-- A partition is made apart and then attached: inserts go on meanwhile. To drop one, a lock on the
-- whole table is needed. That is the last step, because the lock is held until the end. If it is not to
-- be had within half a second, a later call tries again.
CREATE FUNCTION stentor.maintain(keep_days integer, OUT made integer, OUT dropped integer, OUT deleted bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    days_ahead CONSTANT integer := 7;
    dropped_at_once CONSTANT integer := 3;
    deleted_at_once CONSTANT integer := 20000;
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
    last_kept CONSTANT date := today - keep_days;
    part text;
    stored date;
    count bigint;
BEGIN
    made := 0;
    dropped := 0;
    deleted := 0;
    IF keep_days < 21 THEN
        RAISE EXCEPTION 'rows are kept for at least 21 days: within that time a record can come again';
    END IF;
    -- One process does it.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('stentor.maintain', 0)) THEN
        RETURN;
    END IF;
    FOR n IN 0..days_ahead LOOP
        stored := today + n;
        part := 'alerts_' || to_char(stored, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('stentor.' || part) IS NOT NULL
            OR EXISTS (SELECT FROM stentor.alerts_default a WHERE a.stored_on = stored);
        BEGIN
            EXECUTE format(
                'CREATE TABLE stentor.%I (LIKE stentor.alerts, CONSTRAINT one_day CHECK (stored_on = %L))',
                part, stored);
            EXECUTE format(
                'ALTER TABLE stentor.alerts ATTACH PARTITION stentor.%I FOR VALUES IN (%L)', part, stored);
            EXECUTE format('ALTER TABLE stentor.%I DROP CONSTRAINT one_day', part);
            made := made + 1;
        EXCEPTION WHEN lock_not_available OR check_violation THEN
            -- Meanwhile, rows of the day go to the default partition.
            NULL;
        END;
    END LOOP;
    IF keep_days IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM stentor.alerts_default a WHERE a.ctid = ANY (ARRAY(
        SELECT b.ctid FROM stentor.alerts_default b WHERE b.stored_on < last_kept LIMIT deleted_at_once));
    GET DIAGNOSTICS count = ROW_COUNT;
    deleted := deleted + count;
    -- After the rows: an id without a row only means that the alert was counted once.
    DELETE FROM stentor.alert_ids c WHERE c.ctid = ANY (ARRAY(
        SELECT d.ctid FROM stentor.alert_ids d WHERE d.stored_on < last_kept LIMIT deleted_at_once));
    GET DIAGNOSTICS count = ROW_COUNT;
    deleted := deleted + count;
    DELETE FROM stentor.epochs e WHERE e.ctid = ANY (ARRAY(
        SELECT f.ctid FROM stentor.epochs f WHERE f.expires_at < now() LIMIT deleted_at_once));
    GET DIAGNOSTICS count = ROW_COUNT;
    deleted := deleted + count;
    DELETE FROM stentor.patterns p WHERE p.ctid = ANY (ARRAY(
        SELECT q.ctid FROM stentor.patterns q WHERE q.expires_at < now() LIMIT deleted_at_once));
    GET DIAGNOSTICS count = ROW_COUNT;
    deleted := deleted + count;
    DELETE FROM stentor.marks WHERE expires_at < now();
    GET DIAGNOSTICS count = ROW_COUNT;
    deleted := deleted + count;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'stentor.alerts'::regclass AND c.relname ~ '^alerts_[0-9]{8}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD') < last_kept
        ORDER BY c.relname LIMIT dropped_at_once
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE stentor.%I', part);
            dropped := dropped + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
END;
$$;
REVOKE ALL ON FUNCTION stentor.maintain FROM PUBLIC;
