-- Backfill: the rule of version 20, by the same function that its trigger calls: one rule, in one
-- place, whoever writes meanwhile. A profile that is right already is not written, so to run it again
-- takes up what is left.

UPDATE teacher_applications SET token = gen_random_uuid()
WHERE /* batch: teacher_applications.id */ TRUE AND token IS NULL;

INSERT INTO aside.profiles_carried_over
SELECT carried.*
FROM workshops_userprofile AS there
CROSS JOIN LATERAL carry_over_profile(there.user_id) AS carried
WHERE /* batch: there.id */ TRUE;

ANALYZE teacher_applications, accounts_userprofile;

DO $$
DECLARE
    synced bigint;
    created bigint;
BEGIN
    SELECT count(*) FILTER (WHERE NOT carried.created), count(*) FILTER (WHERE carried.created)
    INTO synced, created
    FROM aside.profiles_carried_over AS carried;
    RAISE NOTICE 'Synced: % · Created: % · Total: %', synced, created, synced + created;
END
$$;
