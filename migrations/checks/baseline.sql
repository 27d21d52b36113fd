-- What holds in every version: checked before a release as much as after it, so that a release
-- is neither blamed for what it found nor excused for what it broke.

-- check: emails-unique
-- expect: no rows
-- since: 1
-- until: 7
-- The unique index promises it, but an index whose collation changed under it (an upgrade of the
-- operating system is enough) lets duplicates in. Asked of the table, therefore.
SELECT email COLLATE "C" AS email, count(*) AS accounts
FROM users
GROUP BY 1
HAVING count(*) > 1
ORDER BY 1
LIMIT 20;

-- check: no-orphan-tasks
-- expect: no rows
-- since: 1
-- until: 7
-- A foreign key does not look back: rows loaded while it was disabled stay unseen.
SELECT task.id, task.user_id
FROM tasks AS task
WHERE NOT EXISTS (SELECT FROM users WHERE users.id = task.user_id)
ORDER BY task.id
LIMIT 20;

-- check: no-invalid-indexes
-- expect: no rows
-- severity: warn
-- since: 1
-- What a failed CREATE INDEX CONCURRENTLY leaves costs every write and serves no read. Only a
-- warning: the release to come may be the one that repairs it.
SELECT indexrelid::regclass AS index, indrelid::regclass AS "table"
FROM pg_index
JOIN pg_class ON pg_class.oid = indrelid
WHERE NOT indisvalid AND relnamespace = current_schema::regnamespace
ORDER BY 1;

-- check: row-counts
-- expect: unchanged
-- severity: warn
-- since: 1
-- A warning only: people go on signing up while a release runs. Fewer rows is the bad news. The
-- table of the accounts changes its name in version 7, and a query that names a table that is not
-- there cannot even be prepared: so it is put together here.
SELECT
    substring(
        query_to_xml(format('SELECT count(*) AS n FROM %s', accounts.table_name), false, true, '')::text
        FROM '<n>(.*)</n>'
    ) AS users,
    (SELECT count(*) FROM tasks) AS tasks,
    (SELECT count(*) FROM racer_profiles) AS racer_profiles,
    (SELECT count(*) FROM vehicles) AS vehicles,
    (SELECT count(*) FROM courses) AS courses,
    (SELECT count(*) FROM workshops) AS workshops
FROM (SELECT COALESCE(to_regclass('"user"'), to_regclass('users')) AS table_name) AS accounts;

-- check: accounts-intact
-- expect: unchanged
-- since: 1
-- Who the accounts are must survive any release, also one under traffic: the service never
-- writes these columns again after sign-up, and whoever signs up during the release falls outside
-- the window, which ends where version 1 was applied and so does not move. A sum of hashes
-- does not depend on the order of rows; seconds do not depend on the session's time zone. Version 7
-- changes the table's name and that of one column, and nothing of this.
SELECT
    substring(found.row FROM '<accounts>(.*)</accounts>') AS accounts,
    substring(found.row FROM '<fingerprint>(.*)</fingerprint>') AS fingerprint
FROM (SELECT COALESCE(to_regclass('"user"'), to_regclass('users')) AS table_name) AS accounts
CROSS JOIN LATERAL (
    SELECT CASE accounts.table_name WHEN to_regclass('"user"') THEN '"createdAt"' ELSE 'created_at' END AS created_at
) AS at
CROSS JOIN LATERAL (
    SELECT query_to_xml(
        format(
            'SELECT count(*) AS accounts, sum(hashtextextended(
                 ROW(id, email, name, extract(epoch FROM %1$s))::text, 0
             )) AS fingerprint
             FROM %2$s
             WHERE %1$s < (SELECT installed_on FROM _sqlx_migrations WHERE version = 1)',
            at.created_at, accounts.table_name
        ),
        false, true, ''
    )::text AS row
) AS found;

-- check: teaching-intact
-- expect: unchanged
-- since: 1
-- until: 7
-- Up to R1 the service only reads the teaching side, so that it is the same to the last letter even
-- after a release under traffic. What can be said of it later is in teaching_profiles.sql.
SELECT
    (SELECT sum(hashtextextended(ROW(id, user_id, is_teacher, bio, website)::text, 0))
     FROM accounts_userprofile) AS accounts_userprofile,
    (SELECT sum(hashtextextended(ROW(id, user_id, is_instructor, bio, website)::text, 0))
     FROM workshops_userprofile) AS workshops_userprofile,
    (SELECT sum(hashtextextended(ROW(id, user_id, status, motivation)::text, 0))
     FROM teacher_applications) AS teacher_applications,
    (SELECT sum(hashtextextended(ROW(id, teacher_id, title, published)::text, 0))
     FROM courses) AS courses,
    (SELECT sum(hashtextextended(ROW(id, instructor_id, title)::text, 0))
     FROM workshops) AS workshops;

-- check: users-size
-- expect: report
-- since: 1
-- until: 7
-- A backfill leaves one dead row for each that it wrote: how much larger did the table get?
SELECT
    pg_size_pretty(pg_table_size('users')) AS "table",
    pg_size_pretty(pg_indexes_size('users')) AS indexes,
    n_live_tup AS live_rows,
    n_dead_tup AS dead_rows,
    greatest(last_vacuum, last_autovacuum) AS last_vacuum
FROM pg_stat_user_tables
WHERE relid = 'users'::regclass;
