-- Backfill: whoever has no username gets one from their e-mail address. Of those with the same base,
-- the one who came first has it plain; the others have numbers behind it, which go on from the
-- highest that any name with that base ends in. Numbered in one pass over all people, so that
-- ten thousand called info@… cost no more than ten thousand others.
--
-- First the whole plan, in a table that nobody waits for. Then the names are claimed, and then
-- written, both in short batches; sign-ups claim theirs meanwhile. Who was forestalled by one of
-- them gets another name when it is written. To run it again takes up what is left.

CREATE TABLE username_plan (
    user_id bigint PRIMARY KEY,
    username text NOT NULL
);

INSERT INTO username_plan (user_id, username)
WITH person AS MATERIALIZED (
    SELECT id, username_base(email) AS base
    FROM "user"
    WHERE username IS NULL
        AND NOT EXISTS (SELECT FROM username_claims AS claim WHERE claim.user_id = "user".id)
),
placed AS MATERIALIZED (
    SELECT
        person.id,
        person.base,
        row_number() OVER (PARTITION BY person.base ORDER BY person.id) = 1
            AND reserved.username IS NULL
            AND claim.username IS NULL AS is_first
    FROM person
    LEFT JOIN reserved_usernames AS reserved ON reserved.username = person.base
    LEFT JOIN username_claims AS claim ON claim.username = person.base
),
highest AS (
    SELECT ending[1] AS stem, max(ending[2]::bigint) AS number
    FROM (
        SELECT base AS name FROM placed WHERE is_first
        UNION ALL
        SELECT username FROM username_claims
    ) AS used
    -- Larger numbers are left out, or one info-9999999 would make everybody's long. Should the plan
    -- come across one all the same, its claim does.
    CROSS JOIN LATERAL regexp_match(used.name, '^(.*)-([1-9][0-9]{0,4})$') AS ending
    WHERE ending IS NOT NULL
    GROUP BY 1
),
-- 22 characters leave room for a hyphen and seven digits, whatever the number. Numbered by what is
-- left after the cut: bases that differ only behind it would get the same names.
rest AS (
    SELECT
        stem.stem,
        placed.id,
        row_number() OVER (PARTITION BY stem.stem ORDER BY placed.id) AS place
    FROM placed
    CROSS JOIN LATERAL (SELECT rtrim(left(placed.base, 22), '-') AS stem) AS stem
    WHERE NOT placed.is_first
)
SELECT id, base FROM placed WHERE is_first
UNION ALL
SELECT rest.id, username_numbered(rest.stem, COALESCE(highest.number, 1) + rest.place)
FROM rest
LEFT JOIN highest ON highest.stem = rest.stem;

INSERT INTO username_claims (username, user_id)
SELECT plan.username, plan.user_id
FROM username_plan AS plan
WHERE /* batch: plan.user_id */ TRUE
ON CONFLICT (username) DO NOTHING;

DROP TABLE username_plan;

ANALYZE username_claims;

-- A subquery rather than a join: it looks each batch's own people up, and nothing else.
UPDATE "user" AS person SET username = COALESCE(
    (
        SELECT claim.username FROM username_claims AS claim
        WHERE claim.user_id = person.id
        ORDER BY claim.username
        LIMIT 1
    ),
    claim_username(person.id, person.email)
)
WHERE /* batch: person.id */ TRUE AND person.username IS NULL;

ANALYZE "user";

DO $$
DECLARE
    people bigint;
    named bigint;
BEGIN
    SELECT count(*), count(username) INTO people, named FROM "user";
    RAISE NOTICE 'Migrated %/% users', named, people;
END
$$;
