-- Release R4, versions 14 to 19: everybody has a username, by the rule, and nobody has another's.

-- check: username-column
-- expect: no rows
-- since: 14
-- A column of that name may have been there already: it has to be the right one.
SELECT
    format_type(attribute.atttypid, attribute.atttypmod) AS found,
    pg_get_expr(expression.adbin, expression.adrelid) AS "default",
    'text, no default' AS expected
FROM (SELECT '"user"'::regclass AS oid) AS relation
LEFT JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attribute.attname = 'username'
LEFT JOIN pg_attrdef AS expression
    ON expression.adrelid = attribute.attrelid AND expression.adnum = attribute.attnum
WHERE attribute.atttypid IS DISTINCT FROM 'text'::regtype OR expression.adbin IS NOT NULL;

-- check: username-nullable
-- expect: true
-- since: 14
-- until: 18
-- Until the proof is there, NULL means: not named yet.
SELECT NOT attnotnull FROM pg_attribute WHERE attrelid = '"user"'::regclass AND attname = 'username';

-- check: username-required
-- expect: true
-- since: 18
SELECT attnotnull FROM pg_attribute WHERE attrelid = '"user"'::regclass AND attname = 'username';

-- check: username-constraints-guard
-- expect: value 2
-- since: 17
-- until: 18
-- By what they say, not only by their names.
SELECT count(*)
FROM pg_constraint
WHERE conrelid = '"user"'::regclass
    AND (conname, pg_get_expr(conbin, conrelid)) IN (
        ('user_username_given', '(username IS NOT NULL)'),
        ('user_username_format', '(username_format_problem(username) IS NULL)')
    );

-- check: username-format-guarded
-- expect: true
-- since: 18
SELECT count(*) FILTER (
        WHERE conname = 'user_username_format'
            AND convalidated
            AND pg_get_expr(conbin, conrelid) = '(username_format_problem(username) IS NULL)'
    ) = 1
    -- The scaffold for NOT NULL; left standing, every write would check the same thing twice.
    AND count(*) FILTER (WHERE conname = 'user_username_given') = 0
FROM pg_constraint
WHERE conrelid = '"user"'::regclass;

-- check: username-given-at-sign-up
-- expect: true
-- since: 14
-- until: 19
-- Code of the release before signs people up without one.
SELECT count(*) = 1
FROM pg_trigger
WHERE tgrelid = '"user"'::regclass AND tgname = 'user_claims_username' AND tgenabled = 'O';

-- check: username-nothing-left-of-the-backfill
-- expect: true
-- since: 19
SELECT to_regclass('username_claims') IS NULL
    AND to_regclass('username_plan') IS NULL
    AND to_regproc('claim_username') IS NULL
    AND to_regproc('username_base') IS NULL;

-- check: username-totals
-- expect: report
-- since: 14
-- How many have one: all of them, and each their own, from version 15 on.
SELECT
    count(*) AS users,
    count(username) AS with_username,
    count(*) - count(username) AS missing,
    count(DISTINCT username) AS different
FROM "user";

-- check: username-none-missing
-- expect: value 0
-- since: 15
SELECT count(*) FROM "user" WHERE username IS NULL;

-- check: username-no-duplicates
-- expect: no rows
-- since: 15
-- Asked of the table and not of its index. Told with the people, so that it can be put right: give all
-- but the first another name.
SELECT username COLLATE "C" AS username, count(*) AS people, string_agg(id::text, ', ' ORDER BY id) AS ids
FROM "user"
WHERE username IS NOT NULL
GROUP BY 1
HAVING count(*) > 1
ORDER BY 1
LIMIT 20;

-- check: username-all-different
-- expect: true
-- since: 15
SELECT count(username) = count(DISTINCT username) FROM "user";

-- check: username-by-the-rule
-- expect: no rows
-- since: 15
SELECT id, username, username_format_problem(username) AS problem
FROM "user"
WHERE username_format_problem(username) IS NOT NULL
ORDER BY id
LIMIT 20;

-- check: username-none-reserved
-- expect: no rows
-- severity: warn
-- since: 15
-- A warning only: a name may be reserved after somebody has taken it.
SELECT "user".id, username
FROM "user"
JOIN reserved_usernames USING (username)
ORDER BY 1
LIMIT 20;

-- check: username-index-valid
-- expect: value 1
-- since: 16
SELECT count(*)
FROM pg_index
WHERE indexrelid = to_regclass('user_username_key')
    AND indrelid = '"user"'::regclass
    AND indisunique
    AND indisvalid
    AND indisready
    AND indpred IS NULL
    AND pg_get_indexdef(indexrelid) LIKE '% USING btree (username)';

-- check: username-index-used
-- expect: uses index user_username_key
-- since: 16
-- Log-in by username.
SELECT id, hashed_password FROM "user" WHERE username = 'existing';

-- check: username-samples
-- expect: report
-- since: 15
SELECT id, email, username FROM "user" ORDER BY hashint8(id), id LIMIT 10;

-- check: username-longest
-- expect: report
-- since: 15
SELECT username, char_length(username) AS characters
FROM "user"
ORDER BY char_length(username) DESC, username COLLATE "C"
LIMIT 10;

-- check: username-patterns
-- expect: report
-- since: 15
-- Made from the address, or chosen? By what they look like: somebody may choose what we would have.
SELECT
    count(*) FILTER (WHERE is_plain) AS as_the_address,
    count(*) FILTER (WHERE NOT is_plain AND is_numbered) AS with_a_number,
    count(*) FILTER (WHERE NOT is_plain AND NOT is_numbered) AS chosen_or_spelled_anew
FROM (
    SELECT
        username = lower(split_part(split_part(email, '@', 1), '+', 1)) AS is_plain,
        username ~ '-[0-9]+$' AS is_numbered
    FROM "user"
) AS person;

-- check: tenants-are-called-like-their-owners
-- expect: no rows
-- since: 14
SELECT tenant.id, tenant.name, "user".username
FROM tenants AS tenant
JOIN "user" ON "user".id = tenant.owner_id
WHERE "user".username IS DISTINCT FROM tenant.name
ORDER BY tenant.id
LIMIT 20;

-- check: tenants-have-their-schemas
-- expect: no rows
-- since: 14
SELECT tenant.id, tenant.name
FROM tenants AS tenant
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = tenant.name)
ORDER BY tenant.id
LIMIT 20;

-- check: username-sign-ups-of-a-day
-- expect: report
-- since: 15
-- To watch for 24 hours after the release: do people get in, and with which names?
SELECT
    count(*) AS sign_ups,
    count(*) FILTER (WHERE username ~ '-[0-9]+$') AS with_a_number,
    max("createdAt") AS newest
FROM "user"
WHERE "createdAt" > now() - interval '24 hours';
