-- Release R3, versions 12 and 13: each owner of racer profiles has exactly one default, at first the
-- first profile, found by an index that holds nothing else.

-- check: racer-profiles-intact
-- expect: unchanged
-- since: 1
-- Add-only: nothing that was there changes. Who makes a profile during the release falls outside the
-- window, as with accounts-intact.
SELECT
    count(*) AS profiles,
    sum(hashtextextended(ROW(id, owner_id, display_name, extract(epoch FROM created_at))::text, 0)) AS fingerprint
FROM racer_profiles
WHERE created_at < (SELECT installed_on FROM _sqlx_migrations WHERE version = 1);

-- check: default-profile-column
-- expect: no rows
-- since: 12
-- A column of that name may have been there already: it has to be the right one.
SELECT
    concat_ws(
        ' ', format_type(attribute.atttypid, attribute.atttypmod),
        CASE WHEN attribute.attnotnull THEN 'NOT NULL' END, pg_get_expr(expression.adbin, expression.adrelid)
    ) AS found,
    'boolean NOT NULL false' AS expected
FROM (SELECT 'racer_profiles'::regclass AS oid) AS relation
LEFT JOIN pg_attribute AS attribute
    ON attribute.attrelid = relation.oid AND attribute.attname = 'is_default'
LEFT JOIN pg_attrdef AS expression
    ON expression.adrelid = attribute.attrelid AND expression.adnum = attribute.attnum
WHERE attribute.atttypid IS DISTINCT FROM 'boolean'::regtype
    OR attribute.attnotnull IS NOT TRUE
    OR pg_get_expr(expression.adbin, expression.adrelid) IS DISTINCT FROM 'false';

-- check: default-profile-index-valid
-- expect: value 1
-- since: 12
SELECT count(*)
FROM pg_index
WHERE indexrelid = to_regclass('idx_racer_profiles_is_default')
    AND indrelid = 'racer_profiles'::regclass
    AND indisunique
    AND indisvalid
    AND indisready
    AND pg_get_indexdef(indexrelid) LIKE '% USING btree (owner_id) WHERE is_default';

-- check: default-profile-index-used
-- expect: uses index idx_racer_profiles_is_default
-- since: 13
-- The look-up of every page view: one entry, however many profiles there are.
SELECT id, display_name FROM racer_profiles WHERE owner_id = 1 AND is_default;

-- check: default-profile-kept-by-triggers
-- expect: value 2
-- since: 12
-- Code that does not know the column makes profiles too.
SELECT count(*)
FROM pg_trigger
WHERE tgrelid = 'racer_profiles'::regclass
    AND tgname IN ('racer_profiles_first_is_default', 'racer_profiles_next_is_default')
    AND tgenabled = 'O';

-- check: default-profile-at-most-one
-- expect: no rows
-- since: 12
SELECT owner_id, count(*) AS defaults
FROM racer_profiles
WHERE is_default
GROUP BY owner_id
HAVING count(*) > 1
ORDER BY owner_id
LIMIT 20;

-- check: default-profile-nobody-without
-- expect: no rows
-- since: 13
SELECT owner_id, count(*) AS profiles
FROM racer_profiles
GROUP BY owner_id
HAVING NOT bool_or(is_default)
ORDER BY owner_id
LIMIT 20;

-- check: default-profile-which
-- expect: report
-- since: 13
-- Right after the release everybody's default is their first profile; later some have chosen.
SELECT
    count(*) AS owners,
    count(*) FILTER (WHERE profile.is_default) AS default_is_the_first,
    count(*) FILTER (WHERE NOT profile.is_default) AS another_was_chosen
FROM (
    SELECT DISTINCT ON (owner_id) owner_id, is_default
    FROM racer_profiles
    ORDER BY owner_id, created_at, id
) AS profile;

-- check: default-profile-vehicles
-- expect: report
-- since: 13
-- What the first page shows: the default profile's vehicles.
SELECT
    count(DISTINCT profile.id) AS defaults,
    count(vehicle.id) AS their_vehicles,
    count(DISTINCT profile.id) FILTER (WHERE vehicle.id IS NULL) AS without_vehicle
FROM racer_profiles AS profile
LEFT JOIN vehicles AS vehicle ON vehicle.profile_id = profile.id
WHERE profile.is_default;
