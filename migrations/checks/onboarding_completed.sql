-- users.onboarding_completed, versions 2 to 6: whoever was here before has no onboarding to do,
-- whoever comes after starts with it open, and the few who have it open are found by an index.
-- From version 7 on the table is called "user": the same is asked of it in user_table.sql.

-- check: onboarding-column-type
-- expect: no rows
-- since: 2
-- until: 7
-- A column of that name may have been there already: it has to be the right one. Shows what
-- is there instead.
SELECT
    format_type(attribute.atttypid, attribute.atttypmod) AS type,
    pg_get_expr(expression.adbin, expression.adrelid) AS "default",
    'boolean, false' AS expected
FROM (SELECT 'users'::regclass AS oid) AS relation
LEFT JOIN pg_attribute AS attribute
    ON attribute.attrelid = relation.oid AND attribute.attname = 'onboarding_completed'
LEFT JOIN pg_attrdef AS expression
    ON expression.adrelid = attribute.attrelid AND expression.adnum = attribute.attnum
WHERE attribute.atttypid IS DISTINCT FROM 'boolean'::regtype
    OR pg_get_expr(expression.adbin, expression.adrelid) IS DISTINCT FROM 'false';

-- check: onboarding-column-nullable
-- expect: true
-- since: 2
-- until: 6
-- Until the backfill is through, NULL is an answer too: not decided yet.
SELECT count(*) = 1
FROM pg_attribute
WHERE attrelid = 'users'::regclass AND attname = 'onboarding_completed' AND NOT attnotnull;

-- check: onboarding-column-required
-- expect: true
-- since: 6
-- until: 7
SELECT count(*) = 1
FROM pg_attribute
WHERE attrelid = 'users'::regclass AND attname = 'onboarding_completed' AND attnotnull;

-- check: onboarding-constraint-guards
-- expect: rows
-- since: 5
-- until: 6
SELECT conname, convalidated
FROM pg_constraint
WHERE conrelid = 'users'::regclass AND conname = 'users_onboarding_completed_decided';

-- check: onboarding-constraint-gone
-- expect: no rows
-- since: 6
-- until: 7
-- It was the scaffold for NOT NULL; left standing, every write would check the same thing twice.
SELECT conname
FROM pg_constraint
WHERE conrelid = 'users'::regclass AND conname = 'users_onboarding_completed_decided';

-- check: onboarding-distribution
-- expect: report
-- since: 2
-- until: 7
SELECT
    count(*) AS users,
    count(*) FILTER (WHERE onboarding_completed) AS completed,
    count(*) FILTER (WHERE NOT onboarding_completed) AS open,
    count(*) FILTER (WHERE onboarding_completed IS NULL) AS undecided
FROM users;

-- check: onboarding-none-undecided
-- expect: value 0
-- since: 3
-- until: 7
SELECT count(*) FROM users WHERE onboarding_completed IS NULL;

-- check: onboarding-existing-users-completed
-- expect: no rows
-- since: 3
-- until: 7
-- Who existed before is told by the clock of the database itself: both times are the start of a
-- transaction on this server. A sign-up that had begun just before version 2 may have been
-- written just after it, with false and rightly so; no sign-up takes ten seconds, because the
-- service's statements are cut off earlier.
SELECT id, created_at, onboarding_completed
FROM users
WHERE onboarding_completed IS NOT TRUE
    AND created_at < (
        SELECT installed_on - interval '10 seconds' FROM _sqlx_migrations WHERE version = 2
    )
ORDER BY id
LIMIT 20;

-- check: onboarding-index-valid
-- expect: value 1
-- since: 4
-- until: 7
-- By its definition, not only by its name: IF NOT EXISTS somewhere, or a build that failed, may
-- have left another index, or half of one, under the name.
SELECT count(*)
FROM pg_index
WHERE indexrelid = to_regclass('idx_users_onboarding_completed')
    AND indrelid = 'users'::regclass
    AND indisvalid
    AND indisready
    AND NOT indisunique
    AND indpred IS NULL
    AND pg_get_indexdef(indexrelid) LIKE '% USING btree (onboarding_completed)';

-- check: onboarding-index-used
-- expect: uses index idx_users_onboarding_completed
-- since: 4
-- until: 7
-- Whom to remind: the few accounts whose onboarding is open. On a table of a few pages the
-- planner rightly reads all of it instead.
SELECT id, email FROM users WHERE NOT onboarding_completed;

-- check: onboarding-completion-by-day
-- expect: report
-- since: 2
-- until: 7
-- First day and first week: of those who signed up since, how many got through?
SELECT
    (created_at AT TIME ZONE 'UTC')::date AS day,
    count(*) AS sign_ups,
    count(*) FILTER (WHERE onboarding_completed) AS completed,
    round(100.0 * count(*) FILTER (WHERE onboarding_completed) / count(*), 1) AS percent
FROM users
WHERE created_at >= (SELECT installed_on FROM _sqlx_migrations WHERE version = 2)
GROUP BY 1
ORDER BY 1 DESC
LIMIT 14;

-- check: onboarding-stuck-for-a-day
-- expect: report
-- since: 2
-- until: 7
SELECT count(*) AS stuck, min(created_at) AS oldest, max(created_at) AS newest
FROM users
WHERE NOT onboarding_completed AND created_at < now() - interval '24 hours';

-- check: onboarding-index-usage
-- expect: report
-- since: 4
-- An index that nobody has used after a week is only a cost.
SELECT
    idx_scan AS scans,
    idx_tup_read AS entries_read,
    pg_size_pretty(pg_relation_size(indexrelid)) AS size
FROM pg_stat_user_indexes
WHERE indexrelid = to_regclass('idx_users_onboarding_completed');
