-- Release R2: old code knows nothing of onboarding_completed, new code reads NULL in it as true.
--
-- Each statement finds its own values. Somebody at random is whoever comes next at or after a random
-- id, which the primary key answers at once however many there are; the subquery around random() is
-- there so that it is drawn once, and not for every row; as a bigint, because a comparison with a
-- fraction cannot use the key.

-- traffic: r2-old-sign-up
-- code: old
-- since: 1
-- until: 7
INSERT INTO users (email, name, hashed_password)
VALUES ('sign-up-' || gen_random_uuid() || '@example.com', 'Newly Arrived', '!')
RETURNING id, email, name, created_at;

-- traffic: r2-old-log-in
-- code: old
-- since: 1
-- until: 7
SELECT id, hashed_password
FROM users
WHERE email = (
    SELECT email FROM users
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users)
    ORDER BY id
    LIMIT 1
);

-- traffic: r2-old-read-account
-- code: old
-- since: 1
-- until: 7
SELECT id, email, name, created_at
FROM users
WHERE id = (
    SELECT id FROM users
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users)
    ORDER BY id
    LIMIT 1
);

-- traffic: r2-old-add-task
-- code: old
-- since: 1
-- until: 7
INSERT INTO tasks (user_id, title)
SELECT person.id, 'Change the tyres'
FROM users AS person
WHERE person.id >= (SELECT floor(random() * max(id))::bigint FROM users)
ORDER BY person.id
LIMIT 1
RETURNING id, created_at;

-- traffic: r2-old-finish-task
-- code: old
-- since: 1
-- until: 7
UPDATE tasks SET completed = true, updated_at = now()
WHERE id = (
    SELECT id FROM tasks
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM tasks)
    ORDER BY id
    LIMIT 1
);

-- traffic: r2-old-list-tasks
-- code: old
-- since: 1
-- until: 7
SELECT id, title, completed
FROM tasks
WHERE user_id = (
    SELECT id FROM users
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users)
    ORDER BY id
    LIMIT 1
)
ORDER BY created_at DESC
LIMIT 20;

-- traffic: r2-new-sign-up
-- code: new
-- since: 2
-- until: 7
INSERT INTO users (email, name, hashed_password)
VALUES ('sign-up-' || gen_random_uuid() || '@example.com', 'Newly Arrived', '!')
RETURNING id, email, name, created_at, onboarding_completed;

-- traffic: r2-new-log-in
-- code: new
-- since: 2
-- until: 7
SELECT id, hashed_password, onboarding_completed
FROM users
WHERE email = (
    SELECT email FROM users
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users)
    ORDER BY id
    LIMIT 1
);

-- traffic: r2-new-read-account
-- code: new
-- since: 2
-- until: 7
SELECT id, email, name, created_at, onboarding_completed
FROM users
WHERE id = (
    SELECT id FROM users
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users)
    ORDER BY id
    LIMIT 1
);

-- traffic: r2-new-complete-onboarding
-- code: new
-- since: 2
-- until: 7
UPDATE users SET onboarding_completed = true, updated_at = now()
WHERE onboarding_completed IS NOT TRUE
    AND id = (
    SELECT id FROM users
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users)
    ORDER BY id
    LIMIT 1
);
