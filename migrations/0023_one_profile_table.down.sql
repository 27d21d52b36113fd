-- The old table comes back with all its rows. Whoever has become a teacher since is an instructor there,
-- and who has ceased to be one is none there either: code of the release before would let them teach
-- again. What else was written to accounts_userprofile since stays there.

-- To where it came from: not every database keeps the service's tables in `public`.
DO $$
DECLARE
    home regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = 'accounts_userprofile'::regclass);
BEGIN
    EXECUTE format('ALTER TABLE aside.workshops_userprofile SET SCHEMA %s', home);
END
$$;

UPDATE workshops_userprofile AS there SET is_instructor = false
FROM accounts_userprofile AS profile
WHERE profile.user_id = there.user_id AND there.is_instructor AND NOT profile.is_teacher;

INSERT INTO workshops_userprofile AS there (user_id, is_instructor, bio, website)
SELECT profile.user_id, true, profile.bio, profile.website
FROM accounts_userprofile AS profile
WHERE profile.is_teacher
    AND NOT EXISTS (SELECT FROM aside.teachers_before AS before WHERE before.user_id = profile.user_id)
    AND NOT EXISTS (
        SELECT FROM workshops_userprofile AS instructor
        WHERE instructor.user_id = profile.user_id AND instructor.is_instructor
    )
ON CONFLICT (user_id) DO UPDATE SET is_instructor = true WHERE NOT there.is_instructor;

-- From here on as version 20 made it.

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
