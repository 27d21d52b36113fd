-- Expand: a place for usernames, the rule for them, and a name for everybody who signs up from here
-- on, also by code that knows nothing of it. No row of "user" is written.

ALTER TABLE "user" ADD COLUMN username text;

-- The rule, stated once. A username is a subdomain and the name of a schema, so it takes what both
-- take. NULL means acceptable.
CREATE FUNCTION username_format_problem(username text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN char_length(username) NOT BETWEEN 3 AND 30 THEN 'length'
        WHEN username COLLATE "C" !~ '^[a-z0-9][a-z0-9-]*[a-z0-9]$' THEN 'characters'
    END
$$;

-- Names that mean something else as a subdomain, an address or a schema. A table, because the list
-- grows: it is asked where a name is chosen, and says nothing about names that are taken.
CREATE TABLE reserved_usernames (
    username text PRIMARY KEY
);

INSERT INTO reserved_usernames (username) VALUES
    ('about'), ('abuse'), ('account'), ('accounts'), ('admin'), ('administrator'), ('api'), ('app'),
    ('aside'), ('assets'), ('auth'), ('autoconfig'), ('autodiscover'), ('billing'), ('blog'), ('cdn'),
    ('dashboard'), ('demo'), ('dev'), ('docs'), ('email'), ('ftp'), ('guest'), ('health'), ('help'),
    ('hostmaster'), ('imap'), ('info-schema'), ('localhost'), ('login'), ('logout'), ('mail'), ('me'),
    ('mta-sts'), ('new'), ('news'), ('noreply'), ('no-reply'), ('ns1'), ('ns2'), ('null'),
    ('onboarding'), ('pg-catalog'), ('pop'), ('postgres'), ('postmaster'), ('production'), ('public'),
    ('rehearsal'), ('root'), ('security'), ('settings'), ('shop'), ('sign-up'), ('signup'), ('smtp'),
    ('staging'), ('static'), ('status'), ('support'), ('sysadmin'), ('system'), ('tenant'),
    ('tenants'), ('test'), ('undefined'), ('user'), ('users'), ('webmail'), ('webmaster'), ('www');

-- NULL when a name may be chosen; else what is wrong with it: 'length', 'characters' or 'reserved'.
-- Labels that open with xn-- are another alphabet's spelling: who reads "münchen" must not be sent to
-- somebody who has registered its letters.
CREATE FUNCTION username_problem(username text) RETURNS text
LANGUAGE sql STABLE STRICT AS $$
    SELECT COALESCE(
        username_format_problem($1),
        CASE WHEN left($1, 4) = 'xn--'
            OR EXISTS (SELECT FROM reserved_usernames AS reserved WHERE reserved.username = $1)
        THEN 'reserved' END
    )
$$;

CREATE TABLE tenants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- An account with a tenant cannot be deleted as long as its schema is there.
    owner_id bigint NOT NULL UNIQUE REFERENCES "user" (id),
    -- The owner's username, and the name of the tenant's schema.
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- From here to the end of the file: what gives names to people who did not choose one. It goes with
-- the contract step.

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
