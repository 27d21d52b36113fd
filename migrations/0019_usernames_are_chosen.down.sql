-- Sign-ups by code of the release before work again: what gives them a name comes back as version 14
-- made it. The claims are filled from the names that people have by now, in batches; until that is
-- through, the column's unique index sees to it that no name is given twice.

-- The local part of an e-mail address as a username: without the tag behind +, accents taken off,
-- small letters, and a hyphen for whatever else is left.
CREATE FUNCTION username_base(email text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    -- Up to the last @; a local part has 64 characters at most.
    base text := split_part(left(left(email, length(email) - strpos(reverse(email), '@')), 64), '+', 1);
BEGIN
    IF base COLLATE "C" !~ '^[a-z0-9]{3,30}$' THEN
        base := regexp_replace(normalize(base, NFKD), '[\u0300-\u036f]', '', 'g');
        base := lower(translate(base, 'ØøŁłĐđÐðÞþßÆæŒœı', 'oollddddttsaaooi') COLLATE "C");
        base := regexp_replace(base, '[^a-z0-9]+', '-', 'g');
        base := rtrim(left(ltrim(base, '-'), 30), '-');
        base := CASE WHEN base = '' THEN 'user' WHEN length(base) < 3 THEN 'user-' || base ELSE base END;
    END IF;
    RETURN base;
END
$$;

-- A base with a number behind it, cut so that both fit.
CREATE FUNCTION username_numbered(base text, number bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT rtrim(left(base, 29 - length(number::text)), '-') || '-' || number
$$;

-- Every name that is taken or promised, so that a name can be had atomically long before the column
-- has its index: whoever inserts first has it, and waits for whoever is about to.
CREATE TABLE username_claims (
    username text PRIMARY KEY,
    user_id bigint NOT NULL
);

CREATE INDEX idx_username_claims_user_id ON username_claims (user_id);

-- The base itself if it is free, else with the person's own id behind it, which next to nobody else
-- can have: no counting through ten thousand people called info.
CREATE FUNCTION claim_username(person bigint, email text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    base text := username_base(email);
    name text := base;
    number bigint := person;
BEGIN
    LOOP
        IF username_problem(name) IS NULL THEN
            INSERT INTO username_claims (username, user_id) VALUES (name, person)
            ON CONFLICT (username) DO NOTHING;
            IF FOUND THEN
                RETURN name;
            END IF;
        END IF;
        name := username_numbered(base, number);
        number := floor(random() * 1000000000);
    END LOOP;
END
$$;

-- A name that was chosen is claimed as well. If it is taken, the column's own unique index says so.
CREATE FUNCTION user_claims_username() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.username IS NULL THEN
        NEW.username := claim_username(NEW.id, NEW.email);
    ELSE
        INSERT INTO username_claims (username, user_id) VALUES (NEW.username, NEW.id)
        ON CONFLICT (username) DO NOTHING;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER user_claims_username BEFORE INSERT ON "user"
FOR EACH ROW EXECUTE FUNCTION user_claims_username();

INSERT INTO username_claims (username, user_id)
SELECT person.username, person.id
FROM "user" AS person
WHERE /* batch: person.id */ TRUE
ON CONFLICT (username) DO NOTHING;
