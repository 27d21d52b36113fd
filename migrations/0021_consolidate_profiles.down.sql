-- What was carried over goes back, where nobody has changed it since: a profile that was made goes, one
-- that was completed is what it was. What was changed since stays as it is. Teachers made since become
-- instructors, so that code of the release before knows them as well; who was one and has ceased to be is no
-- instructor any more. Whoever the backfill has not come to yet was never a teacher here: they stay one there.

INSERT INTO workshops_userprofile AS there (user_id, is_instructor, bio, website)
SELECT profile.user_id, true, profile.bio, profile.website
FROM accounts_userprofile AS profile
WHERE /* batch: profile.id */ TRUE
    AND profile.is_teacher
    AND NOT EXISTS (SELECT FROM aside.teachers_before AS before WHERE before.user_id = profile.user_id)
    AND NOT EXISTS (
        SELECT FROM workshops_userprofile AS instructor
        WHERE instructor.user_id = profile.user_id AND instructor.is_instructor
    )
ON CONFLICT (user_id) DO UPDATE SET is_instructor = true WHERE NOT there.is_instructor;

UPDATE workshops_userprofile AS there SET is_instructor = false
FROM accounts_userprofile AS profile
WHERE /* batch: there.id */ TRUE
    AND profile.user_id = there.user_id
    AND there.is_instructor
    AND NOT profile.is_teacher
    AND (
        EXISTS (SELECT FROM aside.teachers_before AS before WHERE before.user_id = profile.user_id)
        OR EXISTS (
            SELECT FROM aside.profiles_carried_over AS carried
            WHERE carried.user_id = profile.user_id AND carried.is_teacher
        )
    );

DELETE FROM accounts_userprofile AS profile
USING aside.profiles_carried_over AS carried
WHERE /* batch: profile.id */ TRUE
    AND carried.user_id = profile.user_id
    AND carried.created
    AND (carried.is_teacher, carried.bio, carried.website)
        IS NOT DISTINCT FROM (profile.is_teacher, profile.bio, profile.website);

UPDATE accounts_userprofile AS profile
SET is_teacher = carried.was_teacher, bio = carried.was_bio, website = carried.was_website
FROM aside.profiles_carried_over AS carried
WHERE /* batch: profile.id */ TRUE
    AND carried.user_id = profile.user_id
    AND NOT carried.created
    AND (carried.is_teacher, carried.bio, carried.website)
        IS NOT DISTINCT FROM (profile.is_teacher, profile.bio, profile.website);

-- All of it is used: a later up begins anew.
TRUNCATE aside.profiles_carried_over;
