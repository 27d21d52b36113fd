-- What the rules are made of. They live in a sandbox only and are dropped before its dump; the key is a
-- setting of the one session that calls them.
CREATE SCHEMA rehearsal_anonymise;

-- HMAC-SHA256 (RFC 2104): the key's inner and outer pads are the settings, so the key itself is not here.
CREATE FUNCTION rehearsal_anonymise.digest(kind text, value text) RETURNS bytea
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT sha256(
        current_setting('rehearsal_anonymise.outer')::bytea || sha256(
            current_setting('rehearsal_anonymise.inner')::bytea
            || convert_to(kind, 'UTF8') || '\x00'::bytea || convert_to(value, 'UTF8')
        )
    )
$$;

-- Four bytes of a digest as a number.
CREATE FUNCTION rehearsal_anonymise.number(digest bytea, at integer) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (get_byte(digest, at)::bigint << 24) | (get_byte(digest, at + 1) << 16)
        | (get_byte(digest, at + 2) << 8) | get_byte(digest, at + 3)
$$;

CREATE FUNCTION rehearsal_anonymise.pseudonym(value text, length integer) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN value = '' THEN '' ELSE left(encode(rehearsal_anonymise.digest('text', value), 'hex'), length) END
$$;

-- example.com is nobody's (RFC 2606): no mail goes anywhere.
CREATE FUNCTION rehearsal_anonymise.pseudonym_email(value text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN value = '' THEN ''
        ELSE 'p' || left(encode(rehearsal_anonymise.digest('email', value), 'hex'), 20) || '@example.com' END
$$;

-- With the version and variant bits of a random UUID (RFC 9562, version 4).
CREATE FUNCTION rehearsal_anonymise.pseudonym(value uuid) RETURNS uuid
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(set_byte(set_byte(d, 6, get_byte(d, 6) & 15 | 64), 8, get_byte(d, 8) & 63 | 128), 'hex')::uuid
    FROM (SELECT substr(rehearsal_anonymise.digest('uuid', value::text), 1, 16)) AS digest(d)
$$;

CREATE FUNCTION rehearsal_anonymise.pseudonym(value bytea) RETURNS bytea
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN value = '' THEN value ELSE rehearsal_anonymise.digest('bytea', encode(value, 'hex')) END
$$;

-- A private network (RFC 1918), or the one of documentation (RFC 3849).
CREATE FUNCTION rehearsal_anonymise.pseudonym(value inet) RETURNS inet
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT set_masklen(
        CASE family(value)
            WHEN 4 THEN concat('10.', get_byte(d, 0), '.', get_byte(d, 1), '.', get_byte(d, 2))::inet
            ELSE concat('2001:db8:', regexp_replace(encode(substr(d, 1, 12), 'hex'), '(.{4})(?=.)', '\1:', 'g'))::inet
        END,
        masklen(value)
    )
    FROM (SELECT rehearsal_anonymise.digest('inet', value::text)) AS digest(d)
$$;

-- A permutation of the numbers of one sign: a Feistel network of four rounds over `half` and one fewer bits, so
-- that it never leaves them. What is unique stays unique.
CREATE FUNCTION rehearsal_anonymise.permute(value bigint, half integer) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    mask bigint := (1::bigint << half) - 1;
    x bigint := CASE WHEN value < 0 THEN -1 - value ELSE value END;
    high bigint := x >> half;
    low bigint := x & mask;
BEGIN
    FOR round IN 1 .. 2 LOOP
        high := high # (rehearsal_anonymise.number(
            rehearsal_anonymise.digest(concat('permute/', half, '/high/', round), low::text), 0) & (mask >> 1));
        low := low # (rehearsal_anonymise.number(
            rehearsal_anonymise.digest(concat('permute/', half, '/low/', round), high::text), 0) & mask);
    END LOOP;
    x := (high << half) | low;
    RETURN CASE WHEN value < 0 THEN -1 - x ELSE x END;
END
$$;

-- Seconds to move an instant by: neither none nor more than that many days.
CREATE FUNCTION rehearsal_anonymise.shift(epoch numeric, days integer) RETURNS bigint
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT (1 + rehearsal_anonymise.number(d, 0) % (days::bigint * 86400)) * CASE get_byte(d, 8) & 1 WHEN 0 THEN 1 ELSE -1 END
    FROM (SELECT rehearsal_anonymise.digest('shift', trim_scale(epoch)::text)) AS digest(d)
$$;

CREATE FUNCTION rehearsal_anonymise.mask(value text, first integer, last integer) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN length(value) <= first + last THEN repeat('*', length(value))
        ELSE left(value, first) || repeat('*', length(value) - first - last) || right(value, last) END
$$;

-- Digits stay digits and letters letters, small or capital; what is not ASCII becomes a letter as well, since
-- a locale may not know it for one. The rest stays. Never the same as before where anything can change.
CREATE FUNCTION rehearsal_anonymise.keep_format(value text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    result text[];
    stream bytea;
    one text;
    code integer;
    place integer;
    byte integer;
    changes boolean;
BEGIN
    FOR round IN 0 .. 99 LOOP
        result := '{}';
        place := 0;
        changes := false;
        FOREACH one IN ARRAY string_to_array(value, NULL) LOOP
            IF place % 32 = 0 THEN
                stream := rehearsal_anonymise.digest(concat('keep-format/', round, '/', place / 32), value);
            END IF;
            byte := get_byte(stream, place % 32);
            place := place + 1;
            code := ascii(one);
            IF code BETWEEN 48 AND 57 THEN
                one := chr(48 + byte % 10);
            ELSIF code BETWEEN 65 AND 90 OR (code > 127 AND one = upper(one) AND one <> lower(one)) THEN
                one := chr(65 + byte % 26);
            ELSIF code BETWEEN 97 AND 122 OR code > 127 THEN
                one := chr(97 + byte % 26);
            ELSE
                result := result || one;
                CONTINUE;
            END IF;
            changes := true;
            result := result || one;
        END LOOP;
        EXIT WHEN NOT changes OR array_to_string(result, '') <> value;
    END LOOP;
    RETURN coalesce(array_to_string(result, ''), value);
END
$$;

-- Something that reads like the real thing; tried once more where it is the very same.
CREATE FUNCTION rehearsal_anonymise.fake(kind text, value text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    first_names CONSTANT text[] := {first_names};
    last_names CONSTANT text[] := {last_names};
    cities CONSTANT text[] := {cities};
    companies CONSTANT text[] := {companies};
    streets CONSTANT text[] := {streets};
    d bytea;
    n bigint[];
    first_name text;
    last_name text;
    made text := '';
BEGIN
    IF value = '' THEN
        RETURN '';
    END IF;
    FOR attempt IN 1 .. 2 LOOP
        d := rehearsal_anonymise.digest('fake/' || attempt, value);
        n := ARRAY[rehearsal_anonymise.number(d, 0), rehearsal_anonymise.number(d, 4), rehearsal_anonymise.number(d, 8)];
        first_name := first_names[1 + n[1] % cardinality(first_names)];
        last_name := last_names[1 + n[2] % cardinality(last_names)];
        made := CASE kind
            WHEN 'first-name' THEN first_name
            WHEN 'last-name' THEN last_name
            WHEN 'name' THEN first_name || ' ' || last_name
            WHEN 'email' THEN lower(first_name || '.' || last_name) || '.' || encode(substr(d, 13, 4), 'hex') || '@example.org'
            -- 555-01xx are numbers of no subscriber (North American Numbering Plan).
            WHEN 'phone' THEN concat('+1 ', 200 + n[1] % 800, ' 555 01', lpad((n[2] % 100)::text, 2, '0'))
            WHEN 'city' THEN cities[1 + n[1] % cardinality(cities)]
            WHEN 'company' THEN last_name || companies[1 + n[3] % cardinality(companies)]
            WHEN 'street' THEN concat(1 + n[1] % 199, ' ', streets[1 + n[3] % cardinality(streets)])
        END;
        EXIT WHEN made <> value;
    END LOOP;
    RETURN made;
END
$$;

-- Puts a value where a path leads, with the objects on the way.
CREATE FUNCTION rehearsal_anonymise.put(target jsonb, path text[], value jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF value IS NULL THEN
        RETURN target;
    END IF;
    FOR depth IN 1 .. cardinality(path) - 1 LOOP
        IF jsonb_typeof(target #> path[1:depth]) IS DISTINCT FROM 'object' THEN
            target := jsonb_set(target, path[1:depth], '{}');
        END IF;
    END LOOP;
    RETURN jsonb_set(target, path, value);
END
$$;
