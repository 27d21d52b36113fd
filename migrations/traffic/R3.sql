-- Release R3: old code makes racer profiles without a word about defaults; new code shows the default
-- first, and lets people choose.
--
-- Each statement finds its own values. Somebody at random is whoever comes next at or after a random
-- id, which the primary key answers at once however many there are; the subquery around random() is
-- there so that it is drawn once, and not for every row; as a bigint, because a comparison with a
-- fraction cannot use the key.

-- traffic: r3-old-sign-up
-- code: old
-- since: 11
-- until: 19
INSERT INTO "user" (email, name, hashed_password)
VALUES ('sign-up-' || gen_random_uuid() || '@example.com', 'Newly Arrived', '!')
RETURNING id, email, name, "createdAt", onboarding_completed;

-- traffic: r3-old-log-in
-- code: old
-- since: 11
-- until: 19
SELECT id, hashed_password, onboarding_completed
FROM "user"
WHERE email = (
    SELECT email FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);

-- traffic: r3-old-read-account
-- code: old
-- since: 11
-- until: 19
SELECT id, email, name, "createdAt", onboarding_completed
FROM "user"
WHERE id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);

-- traffic: r3-old-make-profile
-- code: old
-- since: 11
INSERT INTO racer_profiles (owner_id, display_name)
SELECT person.id, 'New racer'
FROM "user" AS person
WHERE person.id >= (SELECT floor(random() * max(id))::bigint FROM "user")
ORDER BY person.id
LIMIT 1
RETURNING id, display_name;

-- traffic: r3-old-list-profiles
-- code: old
-- since: 11
SELECT id, display_name, created_at
FROM racer_profiles
WHERE owner_id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
)
ORDER BY created_at, id;

-- traffic: r3-old-add-vehicle
-- code: old
-- since: 11
INSERT INTO vehicles (profile_id, make, model, race_number)
SELECT profile.id, 'Lotus', 'Seven', '007'
FROM racer_profiles AS profile
WHERE profile.id >= (SELECT floor(random() * max(id))::bigint FROM racer_profiles)
ORDER BY profile.id
LIMIT 1;

-- traffic: r3-new-make-profile
-- code: new
-- since: 12
INSERT INTO racer_profiles (owner_id, display_name)
SELECT person.id, 'New racer'
FROM "user" AS person
WHERE person.id >= (SELECT floor(random() * max(id))::bigint FROM "user")
ORDER BY person.id
LIMIT 1
RETURNING id, display_name;

-- traffic: r3-new-list-profiles
-- code: new
-- since: 12
SELECT id, display_name, is_default
FROM racer_profiles
WHERE owner_id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
)
ORDER BY is_default DESC, created_at, id;

-- traffic: r3-new-add-vehicle
-- code: new
-- since: 12
INSERT INTO vehicles (profile_id, make, model, race_number)
SELECT profile.id, 'Lotus', 'Seven', '007'
FROM racer_profiles AS profile
WHERE profile.id >= (SELECT floor(random() * max(id))::bigint FROM racer_profiles)
ORDER BY profile.id
LIMIT 1;

-- traffic: r3-new-vehicles-of-the-default
-- code: new
-- since: 12
SELECT vehicle.id, vehicle.make, vehicle.model, vehicle.race_number
FROM racer_profiles AS profile
JOIN vehicles AS vehicle ON vehicle.profile_id = profile.id
WHERE profile.is_default
    AND profile.owner_id = (
        SELECT id FROM "user"
        WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
        ORDER BY id
        LIMIT 1
    );

-- traffic: r3-new-set-default
-- code: new
-- since: 13
-- The service does this in one transaction. Whoever changes somebody's default locks that person first,
-- as the triggers do.
DO $$
DECLARE
    chosen record;
BEGIN
    SELECT id, owner_id INTO chosen
    FROM racer_profiles
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM racer_profiles)
    ORDER BY id
    LIMIT 1;
    PERFORM FROM "user" WHERE id = chosen.owner_id FOR NO KEY UPDATE;
    UPDATE racer_profiles SET is_default = false WHERE owner_id = chosen.owner_id AND is_default;
    UPDATE racer_profiles SET is_default = true WHERE id = chosen.id;
END
$$;
