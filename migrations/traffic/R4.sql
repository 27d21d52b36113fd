-- Release R4: old code signs people up without a username; new code asks for one, and takes it at
-- log-in.
--
-- Each statement finds its own values. Somebody at random is whoever comes next at or after a random
-- id, which the primary key answers at once however many there are; the subquery around random() is
-- there so that it is drawn once, and not for every row; as a bigint, because a comparison with a
-- fraction cannot use the key.

-- traffic: r4-old-sign-up
-- code: old
-- since: 13
-- until: 19
INSERT INTO "user" (email, name, hashed_password)
VALUES ('sign-up-' || gen_random_uuid() || '@example.com', 'Newly Arrived', '!')
RETURNING id, email, name, "createdAt", onboarding_completed;

-- traffic: r4-old-log-in
-- code: old
-- since: 13
-- until: 19
SELECT id, hashed_password, onboarding_completed
FROM "user"
WHERE email = (
    SELECT email FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);

-- traffic: r4-old-read-account
-- code: old
-- since: 13
-- until: 19
SELECT id, email, name, "createdAt", onboarding_completed
FROM "user"
WHERE id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);

-- traffic: r4-old-complete-onboarding
-- code: old
-- since: 13
UPDATE "user" SET onboarding_completed = true, "updatedAt" = now()
WHERE onboarding_completed IS NOT TRUE
    AND id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);

-- traffic: r4-old-sign-up-with-a-common-name
-- code: old
-- since: 13
-- until: 19
-- Everybody wants to be called info: names are fought over while the backfill gives them out.
INSERT INTO "user" (email, hashed_password)
VALUES ('info@' || gen_random_uuid() || '.example', '!')
RETURNING id;

-- traffic: r4-old-make-profile
-- code: old
-- since: 13
INSERT INTO racer_profiles (owner_id, display_name)
SELECT person.id, 'New racer'
FROM "user" AS person
WHERE person.id >= (SELECT floor(random() * max(id))::bigint FROM "user")
ORDER BY person.id
LIMIT 1
RETURNING id, display_name;

-- traffic: r4-old-list-profiles
-- code: old
-- since: 13
SELECT id, display_name, created_at
FROM racer_profiles
WHERE owner_id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
)
ORDER BY created_at, id;

-- traffic: r4-old-add-vehicle
-- code: old
-- since: 13
INSERT INTO vehicles (profile_id, make, model, race_number)
SELECT profile.id, 'Lotus', 'Seven', '007'
FROM racer_profiles AS profile
WHERE profile.id >= (SELECT floor(random() * max(id))::bigint FROM racer_profiles)
ORDER BY profile.id
LIMIT 1;

-- traffic: r4-new-sign-up
-- code: new
-- since: 18
INSERT INTO "user" (email, name, hashed_password, username)
SELECT 'chosen-' || number || '@example.com', 'Has Chosen', '!', 'chosen-' || left(number, 20)
FROM (SELECT translate(gen_random_uuid()::text, '-', '') AS number) AS drawn
RETURNING id, username;

-- traffic: r4-new-log-in-by-username
-- code: new
-- since: 18
SELECT id, hashed_password
FROM "user"
WHERE username = (
    SELECT username FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);

-- traffic: r4-new-is-it-available
-- code: new
-- since: 18
SELECT
    username_problem(wanted.username) AS problem,
    EXISTS (SELECT FROM "user" WHERE "user".username = wanted.username) AS taken
FROM (SELECT 'info-' || floor(random() * 1000) AS username) AS wanted;

-- traffic: r4-new-list-tenant
-- code: new
-- since: 18
SELECT tenant.name
FROM tenants AS tenant
WHERE tenant.owner_id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);
