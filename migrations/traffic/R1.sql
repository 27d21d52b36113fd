-- Release R1: old code says users, new code "user".
--
-- Each statement finds its own values. Somebody at random is whoever comes next at or after a random
-- id, which the primary key answers at once however many there are; the subquery around random() is
-- there so that it is drawn once, and not for every row; as a bigint, because a comparison with a
-- fraction cannot use the key.

-- traffic: r1-old-sign-up
-- code: old
-- since: 6
-- until: 11
INSERT INTO users (email, name, hashed_password)
VALUES ('sign-up-' || gen_random_uuid() || '@example.com', 'Newly Arrived', '!')
RETURNING id, email, name, created_at, onboarding_completed;

-- traffic: r1-old-log-in
-- code: old
-- since: 6
-- until: 11
SELECT id, hashed_password, onboarding_completed
FROM users
WHERE email = (
    SELECT email FROM users
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users)
    ORDER BY id
    LIMIT 1
);

-- traffic: r1-old-read-account
-- code: old
-- since: 6
-- until: 11
SELECT id, email, name, created_at, onboarding_completed
FROM users
WHERE id = (
    SELECT id FROM users
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users)
    ORDER BY id
    LIMIT 1
);

-- traffic: r1-old-complete-onboarding
-- code: old
-- since: 6
-- until: 11
UPDATE users SET onboarding_completed = true, updated_at = now()
WHERE onboarding_completed IS NOT TRUE
    AND id = (
    SELECT id FROM users
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users)
    ORDER BY id
    LIMIT 1
);

-- traffic: r1-old-delete-account
-- code: old
-- since: 6
-- until: 11
-- Somebody who has signed up just now: nothing but their tasks refers to them.
DELETE FROM users
WHERE id = (
    SELECT id FROM users
    WHERE email LIKE 'sign-up-%' AND id >= (SELECT max(id) - 50 FROM users)
    ORDER BY id DESC
    LIMIT 1
);

-- traffic: r1-old-add-task
-- code: old
-- since: 6
-- until: 11
INSERT INTO tasks (user_id, title)
SELECT person.id, 'Change the tyres'
FROM users AS person
WHERE person.id >= (SELECT floor(random() * max(id))::bigint FROM users)
ORDER BY person.id
LIMIT 1
RETURNING id, created_at;

-- traffic: r1-old-finish-task
-- code: old
-- since: 6
-- until: 11
UPDATE tasks SET completed = true, updated_at = now()
WHERE id = (
    SELECT id FROM tasks
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM tasks)
    ORDER BY id
    LIMIT 1
);

-- traffic: r1-old-list-tasks
-- code: old
-- since: 6
-- until: 11
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

-- traffic: r1-new-sign-up
-- code: new
-- since: 10
-- until: 19
INSERT INTO "user" (email, name, hashed_password)
VALUES ('sign-up-' || gen_random_uuid() || '@example.com', 'Newly Arrived', '!')
RETURNING id, email, name, "createdAt", onboarding_completed;

-- traffic: r1-new-log-in
-- code: new
-- since: 10
-- until: 19
SELECT id, hashed_password, onboarding_completed
FROM "user"
WHERE email = (
    SELECT email FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);

-- traffic: r1-new-read-account
-- code: new
-- since: 10
-- until: 19
SELECT id, email, name, "createdAt", onboarding_completed
FROM "user"
WHERE id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);

-- traffic: r1-new-complete-onboarding
-- code: new
-- since: 10
UPDATE "user" SET onboarding_completed = true, "updatedAt" = now()
WHERE onboarding_completed IS NOT TRUE
    AND id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
);

-- traffic: r1-new-sign-up-without-password
-- code: new
-- since: 10
-- until: 19
INSERT INTO "user" (email, name, image, "emailVerified")
VALUES ('sign-up-' || gen_random_uuid() || '@example.com', 'By Another Service', 'https://images.example/1', true)
RETURNING id;

-- traffic: r1-new-add-task
-- code: new
-- since: 10
INSERT INTO tasks (user_id, title)
SELECT person.id, 'Change the tyres'
FROM "user" AS person
WHERE person.id >= (SELECT floor(random() * max(id))::bigint FROM "user")
ORDER BY person.id
LIMIT 1
RETURNING id, created_at;

-- traffic: r1-new-finish-task
-- code: new
-- since: 10
UPDATE tasks SET completed = true, updated_at = now()
WHERE id = (
    SELECT id FROM tasks
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM tasks)
    ORDER BY id
    LIMIT 1
);

-- traffic: r1-new-list-tasks
-- code: new
-- since: 10
SELECT id, title, completed
FROM tasks
WHERE user_id = (
    SELECT id FROM "user"
    WHERE id >= (SELECT floor(random() * max(id))::bigint FROM "user")
    ORDER BY id
    LIMIT 1
)
ORDER BY created_at DESC
LIMIT 20;

-- traffic: r1-new-begin-conversation
-- code: new
-- since: 10
INSERT INTO conversations (user_id, title)
SELECT person.id, 'Which tyres?'
FROM "user" AS person
WHERE person.id >= (SELECT floor(random() * max(id))::bigint FROM "user")
ORDER BY person.id
LIMIT 1
RETURNING id;

-- traffic: r1-new-say-something
-- code: new
-- since: 10
INSERT INTO messages (conversation_id, role, content)
SELECT conversation.id, 'user', 'The soft ones?'
FROM conversations AS conversation
WHERE conversation.id >= (SELECT floor(random() * max(id))::bigint FROM conversations)
ORDER BY conversation.id
LIMIT 1;
