-- Expand: accounts_userprofile takes over workshops_userprofile, and applications get a token. No row
-- is written but those of `aside`.
--
-- Who wins, when both tables describe a person:
--   is_teacher     either: teacher here or instructor there
--   bio, website   of accounts_userprofile; where they are NULL or empty, of workshops_userprofile
--   no profile in accounts_userprofile: one is made of what stands in workshops_userprofile
-- Code of the release before goes on writing to workshops_userprofile until the contract step: a
-- trigger carries each write over by the same rule. What it had given a person before is taken back
-- first, as long as nobody else has changed it: who is an instructor no longer is no teacher because
-- of it either. A row that is deleted there leaves what it gave.

-- What the way back needs. It goes with a later release, when this one is confirmed.
CREATE SCHEMA aside;

-- Who was a teacher before: on the way back, the others have become one since.
CREATE TABLE aside.teachers_before (
    user_id bigint PRIMARY KEY
);

INSERT INTO aside.teachers_before (user_id) SELECT user_id FROM accounts_userprofile WHERE is_teacher;

-- Each profile that the rule has written: what it was, and what it became.
CREATE TABLE aside.profiles_carried_over (
    user_id bigint PRIMARY KEY REFERENCES "user" (id) ON DELETE CASCADE,
    -- There was no profile.
    created boolean NOT NULL,
    was_teacher boolean NOT NULL,
    was_bio text,
    was_website text,
    is_teacher boolean NOT NULL,
    bio text,
    website text
);

-- Applies the rule to one person, and gives back what is to be noted of it; nothing when the profile is
-- right already. It locks the profile here first and only reads there: code of the release before
-- writes to the two tables in this order as well.
CREATE FUNCTION carry_over_profile(person bigint) RETURNS SETOF aside.profiles_carried_over
LANGUAGE plpgsql AS $$
DECLARE
    there workshops_userprofile;
    here accounts_userprofile;
    carried aside.profiles_carried_over;
    is_new boolean := false;
BEGIN
    -- Whoever deletes this account just now is waited for.
    PERFORM FROM "user" WHERE id = person FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO here FROM accounts_userprofile WHERE user_id = person FOR UPDATE;
    IF NOT FOUND THEN
        -- To the rule a missing profile is an empty one.
        INSERT INTO accounts_userprofile (user_id) VALUES (person) ON CONFLICT (user_id) DO NOTHING;
        is_new := FOUND;
        SELECT * INTO here FROM accounts_userprofile WHERE user_id = person FOR UPDATE;
    END IF;
    SELECT * INTO there FROM workshops_userprofile WHERE user_id = person;

    SELECT * INTO carried FROM aside.profiles_carried_over AS earlier
    WHERE earlier.user_id = person
        AND (earlier.is_teacher, earlier.bio, earlier.website)
            IS NOT DISTINCT FROM (here.is_teacher, here.bio, here.website);
    IF NOT FOUND THEN
        carried.user_id := person;
        carried.created := is_new;
        carried.was_teacher := here.is_teacher;
        carried.was_bio := here.bio;
        carried.was_website := here.website;
    END IF;

    carried.is_teacher := carried.was_teacher OR COALESCE(there.is_instructor, false);
    carried.bio := CASE
        WHEN carried.was_bio <> '' THEN carried.was_bio
        ELSE COALESCE(NULLIF(there.bio, ''), carried.was_bio)
    END;
    carried.website := CASE
        WHEN carried.was_website <> '' THEN carried.was_website
        ELSE COALESCE(NULLIF(there.website, ''), carried.was_website)
    END;
    IF NOT is_new
        AND (carried.is_teacher, carried.bio, carried.website)
            IS NOT DISTINCT FROM (here.is_teacher, here.bio, here.website)
    THEN
        RETURN;
    END IF;

    UPDATE accounts_userprofile
    SET is_teacher = carried.is_teacher, bio = carried.bio, website = carried.website
    WHERE user_id = person;
    DELETE FROM aside.profiles_carried_over WHERE user_id = person;
    RETURN NEXT carried;
END
$$;

CREATE FUNCTION workshops_userprofile_is_carried_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO aside.profiles_carried_over SELECT * FROM carry_over_profile(NEW.user_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER workshops_userprofile_is_carried_over AFTER INSERT OR UPDATE ON workshops_userprofile
FOR EACH ROW EXECUTE FUNCTION workshops_userprofile_is_carried_over();

-- A default that is computed would rewrite the table if it came with the column.
ALTER TABLE teacher_applications ADD COLUMN token uuid;
ALTER TABLE teacher_applications ALTER COLUMN token SET DEFAULT gen_random_uuid();
