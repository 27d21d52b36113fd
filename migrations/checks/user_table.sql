-- Release R1, versions 7 to 11: the accounts are in "user", with the columns that the auth library
-- asks for; the old name goes on as a writable view until 11. And what was asked of `users` before
-- is asked of "user" from 7 on.

-- check: user-columns
-- expect: no rows
-- since: 7
-- Each relation and column that the code names, with its type, whether NULL may stand there, and its
-- default. Shows what is there instead.
SELECT
    expected.name,
    expected.definition AS expected,
    concat_ws(
        ' ',
        format_type(attribute.atttypid, attribute.atttypmod),
        CASE WHEN attribute.attnotnull THEN 'NOT NULL' END,
        pg_get_expr(expression.adbin, expression.adrelid)
    ) AS found
FROM (
    VALUES
        ('id', 'bigint NOT NULL'),
        ('email', 'text NOT NULL'),
        ('name', 'text'),
        ('hashed_password', 'text'),
        ('onboarding_completed', 'boolean NOT NULL false'),
        ('emailVerified', 'boolean NOT NULL false'),
        ('image', 'text'),
        ('createdAt', 'timestamp with time zone NOT NULL now()'),
        ('updatedAt', 'timestamp with time zone NOT NULL now()')
) AS expected (name, definition)
LEFT JOIN pg_attribute AS attribute
    ON attribute.attrelid = to_regclass('"user"') AND attribute.attname = expected.name
LEFT JOIN pg_attrdef AS expression
    ON expression.adrelid = attribute.attrelid AND expression.adnum = attribute.attnum
WHERE expected.definition IS DISTINCT FROM concat_ws(
    ' ',
    format_type(attribute.atttypid, attribute.atttypmod),
    CASE WHEN attribute.attnotnull THEN 'NOT NULL' END,
    pg_get_expr(expression.adbin, expression.adrelid)
);

-- check: user-foreign-keys-follow
-- expect: no rows
-- since: 7
-- A rename takes foreign keys along; a table that was made anew would have left them behind.
SELECT expected.name AS "table", expected.name || ' does not refer to "user"' AS problem
FROM (
    VALUES
        ('tasks'), ('racer_profiles'), ('accounts_userprofile'), ('teacher_applications'), ('courses'),
        ('workshops')
) AS expected (name)
WHERE NOT EXISTS (
    SELECT FROM pg_constraint
    WHERE conrelid = to_regclass(expected.name)
        AND confrelid = to_regclass('"user"')
        AND contype = 'f'
        AND convalidated
);

-- check: users-view-writable
-- expect: true
-- since: 7
-- until: 11
-- Code of the release before signs people up, changes and deletes accounts through it.
SELECT count(*) = 1
FROM information_schema.views
WHERE table_schema = current_schema AND table_name = 'users'
    AND is_insertable_into = 'YES' AND is_updatable = 'YES';

-- check: users-view-shows-everybody
-- expect: value 0
-- since: 7
-- until: 11
SELECT (SELECT count(*) FROM "user") - (SELECT count(*) FROM users);

-- check: users-view-gone
-- expect: true
-- since: 11
SELECT to_regclass('users') IS NULL;

-- check: user-emails-unique
-- expect: no rows
-- since: 7
-- Asked of the table and not of its index: an index whose collation changed under it lets duplicates in.
SELECT email COLLATE "C" AS email, count(*) AS accounts
FROM "user"
GROUP BY 1
HAVING count(*) > 1
ORDER BY 1
LIMIT 20;

-- check: user-no-orphans
-- expect: no rows
-- since: 7
-- until: 10
-- A foreign key does not look back: rows loaded while it was disabled stay unseen.
SELECT task.id, task.user_id
FROM tasks AS task
WHERE NOT EXISTS (SELECT FROM "user" WHERE "user".id = task.user_id)
ORDER BY task.id
LIMIT 20;

-- check: user-no-orphans-nor-conversations
-- expect: no rows
-- since: 10
(
    SELECT 'tasks' AS "table", task.id, task.user_id AS refers_to
    FROM tasks AS task
    WHERE NOT EXISTS (SELECT FROM "user" WHERE "user".id = task.user_id)
    LIMIT 20
)
UNION ALL
(
    SELECT 'conversations', conversation.id, conversation.user_id
    FROM conversations AS conversation
    WHERE NOT EXISTS (SELECT FROM "user" WHERE "user".id = conversation.user_id)
    LIMIT 20
)
UNION ALL
(
    SELECT 'messages', message.id, message.conversation_id
    FROM messages AS message
    WHERE NOT EXISTS (SELECT FROM conversations WHERE conversations.id = message.conversation_id)
    LIMIT 20
);

-- check: tasks-by-user-index-valid
-- expect: value 1
-- since: 8
-- By its definition, not only by its name.
SELECT count(*)
FROM pg_index
WHERE indexrelid = to_regclass('idx_tasks_user_id_created_at')
    AND indisvalid
    AND indisready
    AND pg_get_indexdef(indexrelid) LIKE '% ON %tasks USING btree (user_id, created_at DESC)';

-- check: tasks-by-user-index-used
-- expect: uses index idx_tasks_user_id_created_at
-- since: 8
SELECT id, title FROM tasks WHERE user_id = 1 ORDER BY created_at DESC LIMIT 20;

-- check: open-tasks-index-valid
-- expect: value 1
-- since: 9
SELECT count(*)
FROM pg_index
WHERE indexrelid = to_regclass('idx_tasks_open')
    AND indisvalid
    AND indisready
    AND pg_get_indexdef(indexrelid) LIKE '% ON %tasks USING btree (user_id) WHERE (NOT completed)';

-- check: tasks-index-usage
-- expect: report
-- since: 9
-- An index that nobody has used after a week is only a cost.
SELECT indexrelname AS index, idx_scan AS scans, pg_size_pretty(pg_relation_size(indexrelid)) AS size
FROM pg_stat_user_indexes
WHERE indexrelid IN (to_regclass('idx_tasks_user_id_created_at'), to_regclass('idx_tasks_open'))
ORDER BY 1;

-- check: user-distribution
-- expect: report
-- since: 7
SELECT
    count(*) AS accounts,
    count(*) FILTER (WHERE hashed_password IS NULL) AS without_password,
    count(*) FILTER (WHERE "emailVerified") AS verified,
    count(image) AS with_image
FROM "user";

-- check: user-sign-ups-by-hour
-- expect: report
-- since: 7
-- To watch after the release: do people still get in?
SELECT date_trunc('hour', "createdAt" AT TIME ZONE 'UTC') AS hour, count(*) AS sign_ups
FROM "user"
WHERE "createdAt" > now() - interval '1 day'
GROUP BY 1
ORDER BY 1 DESC
LIMIT 24;

-- check: user-size
-- expect: report
-- since: 7
-- A backfill leaves one dead row for each that it wrote: how much larger did the table get?
SELECT
    pg_size_pretty(pg_table_size('"user"')) AS "table",
    pg_size_pretty(pg_indexes_size('"user"')) AS indexes,
    n_live_tup AS live_rows,
    n_dead_tup AS dead_rows,
    greatest(last_vacuum, last_autovacuum) AS last_vacuum
FROM pg_stat_user_tables
WHERE relid = '"user"'::regclass;

-- check: user-onboarding-distribution
-- expect: report
-- since: 7
SELECT
    count(*) AS users,
    count(*) FILTER (WHERE onboarding_completed) AS completed,
    count(*) FILTER (WHERE NOT onboarding_completed) AS open
FROM "user";

-- check: user-onboarding-index-valid
-- expect: value 1
-- since: 7
SELECT count(*)
FROM pg_index
WHERE indexrelid = to_regclass('idx_users_onboarding_completed')
    AND indrelid = '"user"'::regclass
    AND indisvalid
    AND indisready
    AND NOT indisunique
    AND indpred IS NULL
    AND pg_get_indexdef(indexrelid) LIKE '% USING btree (onboarding_completed)';

-- check: user-onboarding-index-used
-- expect: uses index idx_users_onboarding_completed
-- since: 7
SELECT id, email FROM "user" WHERE NOT onboarding_completed;

-- check: user-onboarding-stuck-for-a-day
-- expect: report
-- since: 7
SELECT count(*) AS stuck, min("createdAt") AS oldest, max("createdAt") AS newest
FROM "user"
WHERE NOT onboarding_completed AND "createdAt" < now() - interval '24 hours';

-- check: conversations-distribution
-- expect: report
-- since: 10
SELECT
    (SELECT count(*) FROM conversations) AS conversations,
    (SELECT count(*) FROM messages) AS messages,
    (SELECT count(*) FROM messages WHERE role = 'assistant') AS of_the_assistant;
