-- Release R5: old code keeps instructors in workshops_userprofile and teachers in
-- accounts_userprofile; new code knows teachers only, and finds applications by their token.
--
-- Each statement finds its own values. Somebody at random is whoever comes next at or after a random
-- id, which the primary key answers at once however many there are; the subquery around random() is
-- there so that it is drawn once, and not for every row; as a bigint, because a comparison with a
-- fraction cannot use the key.

-- traffic: r5-old-list-teachers
-- code: old
-- since: 19
-- until: 23
SELECT person.id, person.name, profile.bio, profile.website
FROM accounts_userprofile AS profile
JOIN "user" AS person ON person.id = profile.user_id
WHERE profile.is_teacher AND profile.user_id > (SELECT floor(random() * max(id))::bigint FROM "user")
ORDER BY profile.user_id
LIMIT 20;

-- traffic: r5-old-announce-workshop
-- code: old
-- since: 19
-- until: 23
INSERT INTO workshops (instructor_id, title, starts_at)
SELECT profile.user_id, 'Racing in the rain', now() + interval '30 days'
FROM workshops_userprofile AS profile
WHERE profile.is_instructor AND profile.id >= (SELECT floor(random() * max(id))::bigint FROM workshops_userprofile)
ORDER BY profile.id
LIMIT 1
RETURNING id;

-- traffic: r5-old-apply
-- code: old
-- since: 19
INSERT INTO teacher_applications (user_id, motivation)
SELECT person.id, 'I like to explain things.'
FROM "user" AS person
WHERE person.id >= (SELECT floor(random() * max(id))::bigint FROM "user")
ORDER BY person.id
LIMIT 1
RETURNING id, status;

-- traffic: r5-old-approve
-- code: old
-- since: 19
-- until: 23
WITH approved AS (
    UPDATE teacher_applications SET status = 'approved'
    WHERE id = (
        SELECT id FROM teacher_applications
        WHERE id >= (SELECT floor(random() * max(id))::bigint FROM teacher_applications)
        ORDER BY id
        LIMIT 1
    )
    RETURNING user_id
),
teacher AS (
    INSERT INTO accounts_userprofile (user_id, is_teacher)
    SELECT user_id, true FROM approved
    ON CONFLICT (user_id) DO UPDATE SET is_teacher = true
)
INSERT INTO workshops_userprofile (user_id, is_instructor)
SELECT user_id, true FROM approved
ON CONFLICT (user_id) DO UPDATE SET is_instructor = true;

-- traffic: r5-old-change-bio
-- code: old
-- since: 19
-- until: 23
UPDATE workshops_userprofile SET bio = 'Rewritten at ' || clock_timestamp()
WHERE id = (
    SELECT id FROM workshops_userprofile
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM workshops_userprofile)
    ORDER BY id
    LIMIT 1
);

-- traffic: r5-new-list-teachers
-- code: new
-- since: 22
SELECT person.id, person.name, profile.bio, profile.website
FROM accounts_userprofile AS profile
JOIN "user" AS person ON person.id = profile.user_id
WHERE profile.is_teacher AND profile.user_id > (SELECT floor(random() * max(id))::bigint FROM "user")
ORDER BY profile.user_id
LIMIT 20;

-- traffic: r5-new-announce-workshop
-- code: new
-- since: 22
INSERT INTO workshops (instructor_id, title, starts_at)
SELECT profile.user_id, 'Racing in the rain', now() + interval '30 days'
FROM accounts_userprofile AS profile
WHERE profile.is_teacher AND profile.id >= (SELECT floor(random() * max(id))::bigint FROM accounts_userprofile)
ORDER BY profile.id
LIMIT 1
RETURNING id;

-- traffic: r5-new-apply
-- code: new
-- since: 22
INSERT INTO teacher_applications (user_id, motivation)
SELECT person.id, 'I like to explain things.'
FROM "user" AS person
WHERE person.id >= (SELECT floor(random() * max(id))::bigint FROM "user")
ORDER BY person.id
LIMIT 1
RETURNING id, token;

-- traffic: r5-new-look-application-up
-- code: new
-- since: 22
SELECT id, status, motivation
FROM teacher_applications
WHERE token = (
    SELECT token FROM teacher_applications
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM teacher_applications)
    ORDER BY id
    LIMIT 1
);

-- traffic: r5-new-approve
-- code: new
-- since: 22
WITH approved AS (
    UPDATE teacher_applications SET status = 'approved'
    WHERE id = (
        SELECT id FROM teacher_applications
        WHERE id >= (SELECT floor(random() * max(id))::bigint FROM teacher_applications)
        ORDER BY id
        LIMIT 1
    )
    RETURNING user_id
)
INSERT INTO accounts_userprofile (user_id, is_teacher)
SELECT user_id, true FROM approved
ON CONFLICT (user_id) DO UPDATE SET is_teacher = true;

-- traffic: r5-new-change-bio
-- code: new
-- since: 22
UPDATE accounts_userprofile SET bio = 'Rewritten at ' || clock_timestamp()
WHERE id = (
    SELECT id FROM accounts_userprofile
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM accounts_userprofile)
    ORDER BY id
    LIMIT 1
);
