-- A calendar whose rule is PostgreSQL's own: no two rows that stand may overlap, unless both are blackouts.
-- All is temporary and gone with the session, but for the extension. Times come in as ms since the epoch.
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TEMPORARY TABLE spans (
    name text PRIMARY KEY,
    venue integer NOT NULL,
    during tstzrange NOT NULL CHECK (NOT isempty(during)),
    blackout integer NOT NULL,
    state text NOT NULL CHECK (state IN ('held', 'sold', 'closed', 'gone')),
    held_until timestamptz,
    extended boolean NOT NULL DEFAULT false,
    stands boolean NOT NULL DEFAULT true,
    CONSTRAINT bookings_apart EXCLUDE USING gist (venue WITH =, during WITH &&) WHERE (stands AND blackout = 0),
    CONSTRAINT closed_or_booked EXCLUDE USING gist (venue WITH =, during WITH &&, blackout WITH <>) WHERE (stands)
);

CREATE FUNCTION pg_temp.moment(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT timestamptz 'epoch' + ms * interval '1 millisecond'
$$;

CREATE FUNCTION pg_temp.prune(hall integer, span tstzrange, now_ms bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE spans SET stands = false
    WHERE stands AND venue = hall AND during && span AND held_until <= pg_temp.moment(now_ms)
$$;

CREATE FUNCTION pg_temp.put(
    named text, hall integer, starts bigint, ends bigint, is_blackout integer, kind text, until_ms bigint, now_ms bigint
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    span tstzrange := tstzrange(pg_temp.moment(starts), pg_temp.moment(ends));
BEGIN
    PERFORM pg_temp.prune(hall, span, now_ms);
    INSERT INTO spans (name, venue, during, blackout, state, held_until)
    VALUES (named, hall, span, is_blackout, kind, pg_temp.moment(until_ms));
    RETURN 'done';
EXCEPTION WHEN exclusion_violation THEN
    RETURN 'taken';
END $$;

CREATE FUNCTION pg_temp.keep(named text, now_ms bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found_row spans%ROWTYPE;
BEGIN
    SELECT * INTO STRICT found_row FROM spans WHERE name = named;
    IF found_row.state <> 'held' THEN
        RETURN CASE found_row.state WHEN 'sold' THEN 'done' ELSE 'over' END;
    END IF;
    PERFORM pg_temp.prune(found_row.venue, found_row.during, now_ms);
    UPDATE spans SET state = 'sold', held_until = NULL, stands = true WHERE name = named;
    RETURN 'done';
EXCEPTION WHEN exclusion_violation THEN
    RETURN 'taken';
END $$;

CREATE FUNCTION pg_temp.leave(named text, from_states text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE spans SET state = 'gone', stands = false WHERE name = named AND state = ANY (from_states);
    RETURN CASE WHEN FOUND THEN 'done' ELSE 'over' END;
END $$;

CREATE FUNCTION pg_temp.prolong(named text, by_ms bigint, now_ms bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE spans SET held_until = held_until + by_ms * interval '1 millisecond', extended = true
    WHERE name = named AND state = 'held' AND held_until > pg_temp.moment(now_ms) AND NOT extended;
    RETURN CASE WHEN FOUND THEN 'done' ELSE 'over' END;
END $$;

CREATE FUNCTION pg_temp.expire(named text, now_ms bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE spans SET state = 'gone', stands = false
    WHERE name = named AND state = 'held' AND held_until <= pg_temp.moment(now_ms)
$$;

CREATE FUNCTION pg_temp.live(now_ms bigint) RETURNS TABLE (named text, hall integer, starts bigint, ends bigint)
LANGUAGE sql AS $$
    SELECT name, venue,
        (extract(epoch FROM lower(during)) * 1000)::bigint, (extract(epoch FROM upper(during)) * 1000)::bigint
    FROM spans WHERE stands AND (held_until IS NULL OR held_until > pg_temp.moment(now_ms))
$$;
