-- Drops the column and, with it, which profile each owner has chosen: that is written nowhere else.
-- The index goes with its column.

DROP TRIGGER racer_profiles_next_is_default ON racer_profiles;
DROP TRIGGER racer_profiles_first_is_default ON racer_profiles;
DROP FUNCTION racer_profiles_next_is_default();
DROP FUNCTION racer_profiles_first_is_default();
ALTER TABLE racer_profiles DROP COLUMN is_default;
