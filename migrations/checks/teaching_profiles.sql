-- Release R5, versions 20 to 23: accounts_userprofile takes over workshops_userprofile, and each
-- application has a token. Up to the contract step the old table is asked, afterwards what was kept
-- of it in `aside`.

-- check: teaching-lists-intact
-- expect: unchanged
-- since: 1
-- Courses, workshops and applications are not the release's business. Who adds to them during it
-- falls outside the window, which ends where version 1 was applied; what people change in them, a
-- title or a status, is left out.
SELECT
    (SELECT sum(hashtextextended(ROW(id, user_id, motivation)::text, 0))
     FROM teacher_applications WHERE created_at < version.installed_on) AS teacher_applications,
    (SELECT sum(hashtextextended(ROW(id, teacher_id)::text, 0))
     FROM courses WHERE created_at < version.installed_on) AS courses,
    (SELECT sum(hashtextextended(ROW(id, instructor_id, title)::text, 0))
     FROM workshops WHERE created_at < version.installed_on) AS workshops
FROM _sqlx_migrations AS version
WHERE version.version = 1;

-- check: teaching-profiles-as-before
-- expect: unchanged
-- severity: warn
-- since: 1
-- until: 20
-- A warning only: people are approved, and write about themselves, while a release runs.
SELECT
    (SELECT sum(hashtextextended(ROW(id, user_id, is_teacher, bio, website)::text, 0))
     FROM accounts_userprofile) AS accounts_userprofile,
    (SELECT sum(hashtextextended(ROW(id, user_id, is_instructor, bio, website)::text, 0))
     FROM workshops_userprofile) AS workshops_userprofile;

-- check: audit-instructors-and-teachers
-- expect: report
-- since: 1
-- until: 23
SELECT
    count(*) FILTER (WHERE there.is_instructor) AS instructors,
    count(*) FILTER (WHERE here.is_teacher) AS teachers,
    count(*) FILTER (WHERE here.is_teacher AND there.is_instructor) AS both,
    count(there.id) AS profiles_there,
    count(here.id) AS profiles_here
FROM accounts_userprofile AS here
FULL JOIN workshops_userprofile AS there USING (user_id);

-- check: audit-who-needs-syncing
-- expect: report
-- since: 1
-- until: 23
-- And why; nobody any more from version 21 on.
SELECT why.reason, count(*) AS people
FROM workshops_userprofile AS there
LEFT JOIN accounts_userprofile AS here USING (user_id)
CROSS JOIN LATERAL (
    VALUES
        ('no profile here', here.id IS NULL),
        ('instructor there, no teacher here', there.is_instructor AND NOT here.is_teacher),
        ('a bio only there', there.bio <> '' AND COALESCE(here.bio, '') = '' AND here.id IS NOT NULL),
        ('a website only there', there.website <> '' AND COALESCE(here.website, '') = '' AND here.id IS NOT NULL)
) AS why (reason, applies)
WHERE why.applies
GROUP BY 1
ORDER BY 1;

-- check: audit-workshops
-- expect: report
-- since: 1
SELECT
    count(*) AS workshops,
    count(instructor_id) AS with_instructor,
    count(DISTINCT instructor_id) AS instructors
FROM workshops;

-- check: audit-samples
-- expect: report
-- since: 1
-- until: 23
SELECT
    there.user_id, there.is_instructor, here.is_teacher,
    left(there.bio, 20) AS bio_there, left(here.bio, 20) AS bio_here
FROM workshops_userprofile AS there
LEFT JOIN accounts_userprofile AS here USING (user_id)
ORDER BY hashint8(there.user_id), there.user_id
LIMIT 10;

-- check: teaching-one-profile-a-user
-- expect: no rows
-- since: 1
-- Asked of the table and not of its index.
SELECT user_id, count(*) AS profiles
FROM accounts_userprofile
GROUP BY user_id
HAVING count(*) > 1
ORDER BY user_id
LIMIT 20;

-- check: teaching-carried-over-at-once
-- expect: true
-- since: 20
-- until: 23
-- Code of the release before goes on writing to the old table.
SELECT count(*) = 1
FROM pg_trigger
WHERE tgrelid = 'workshops_userprofile'::regclass
    AND tgname = 'workshops_userprofile_is_carried_over'
    AND tgenabled = 'O';

-- check: teaching-instructors-are-teachers
-- expect: no rows
-- since: 21
-- until: 23
SELECT there.user_id, here.is_teacher
FROM workshops_userprofile AS there
LEFT JOIN accounts_userprofile AS here USING (user_id)
WHERE there.is_instructor AND here.is_teacher IS NOT TRUE
ORDER BY 1
LIMIT 20;

-- check: teaching-nobody-without-profile
-- expect: no rows
-- since: 21
-- until: 23
SELECT there.user_id
FROM workshops_userprofile AS there
WHERE NOT EXISTS (SELECT FROM accounts_userprofile AS here WHERE here.user_id = there.user_id)
ORDER BY 1
LIMIT 20;

-- check: teaching-texts-kept
-- expect: no rows
-- since: 21
-- What stood in accounts_userprofile wins; of workshops_userprofile comes what was missing.
SELECT user_id, was_bio, bio, was_website, website
FROM aside.profiles_carried_over
WHERE (was_bio <> '' AND bio IS DISTINCT FROM was_bio)
    OR (was_website <> '' AND website IS DISTINCT FROM was_website)
    OR (was_teacher AND NOT is_teacher)
ORDER BY user_id
LIMIT 20;

-- check: teaching-workshops-given-by-teachers
-- expect: no rows
-- since: 21
SELECT workshop.id, workshop.instructor_id
FROM workshops AS workshop
LEFT JOIN accounts_userprofile AS profile ON profile.user_id = workshop.instructor_id
WHERE workshop.instructor_id IS NOT NULL AND profile.is_teacher IS NOT TRUE
ORDER BY workshop.id
LIMIT 20;

-- check: teaching-carried-over
-- expect: report
-- since: 21
SELECT
    count(*) FILTER (WHERE NOT created) AS synced,
    count(*) FILTER (WHERE created) AS created,
    count(*) AS total
FROM aside.profiles_carried_over;

-- check: teaching-old-table-gone
-- expect: true
-- since: 23
SELECT to_regclass('workshops_userprofile') IS NULL;

-- check: teaching-old-rows-aside
-- expect: true
-- since: 23
SELECT to_regclass('aside.workshops_userprofile') IS NOT NULL;

-- check: teaching-former-instructors-are-teachers
-- expect: no rows
-- severity: warn
-- since: 23
-- A warning only: once the release is out, somebody may have ceased to be one.
SELECT there.user_id, here.is_teacher
FROM aside.workshops_userprofile AS there
LEFT JOIN accounts_userprofile AS here USING (user_id)
WHERE there.is_instructor AND here.is_teacher IS NOT TRUE
ORDER BY 1
LIMIT 20;

-- check: teaching-former-profiles-are-there
-- expect: no rows
-- since: 23
SELECT there.user_id
FROM aside.workshops_userprofile AS there
WHERE NOT EXISTS (SELECT FROM accounts_userprofile AS here WHERE here.user_id = there.user_id)
ORDER BY 1
LIMIT 20;

-- check: application-token-column
-- expect: no rows
-- since: 20
SELECT
    format_type(attribute.atttypid, attribute.atttypmod) AS found,
    pg_get_expr(expression.adbin, expression.adrelid) AS "default",
    'uuid, gen_random_uuid()' AS expected
FROM (SELECT 'teacher_applications'::regclass AS oid) AS relation
LEFT JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attribute.attname = 'token'
LEFT JOIN pg_attrdef AS expression
    ON expression.adrelid = attribute.attrelid AND expression.adnum = attribute.attnum
WHERE attribute.atttypid IS DISTINCT FROM 'uuid'::regtype
    OR pg_get_expr(expression.adbin, expression.adrelid) IS DISTINCT FROM 'gen_random_uuid()';

-- check: application-tokens-none-missing
-- expect: value 0
-- since: 21
SELECT count(*) FROM teacher_applications WHERE token IS NULL;

-- check: application-token-index-valid
-- expect: value 1
-- since: 22
SELECT count(*)
FROM pg_index
WHERE indexrelid = to_regclass('teacher_applications_token_key')
    AND indisunique
    AND indisvalid
    AND indisready
    AND pg_get_indexdef(indexrelid) LIKE '% USING btree (token)';

-- check: application-token-index-used
-- expect: uses index teacher_applications_token_key
-- since: 22
SELECT id, status FROM teacher_applications WHERE token = '00000000-0000-4000-8000-000000000000';

-- check: applications-by-status
-- expect: report
-- since: 1
-- To watch for an hour after the release: do applications still come in, and get answers?
SELECT status, count(*) AS applications, max(created_at) AS newest
FROM teacher_applications
GROUP BY status
ORDER BY status;
