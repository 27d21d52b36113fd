-- Backfill: of each owner who has no default yet, the first profile becomes it; of two that were made
-- in the same instant, the one with the lower id. Owners who have chosen meanwhile keep their choice.
-- Should an owner choose in the very moment in which a batch writes, the unique index stops that
-- batch: nothing of it is written, and run again it finds the choice.

UPDATE racer_profiles AS profile SET is_default = true
WHERE /* batch: profile.id */ TRUE
    AND NOT EXISTS (
        SELECT FROM racer_profiles AS other WHERE other.owner_id = profile.owner_id AND other.is_default
    )
    AND profile.id = (
        SELECT other.id FROM racer_profiles AS other
        WHERE other.owner_id = profile.owner_id
        ORDER BY other.created_at, other.id
        LIMIT 1
    );

ANALYZE racer_profiles;
