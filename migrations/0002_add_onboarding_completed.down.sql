-- Drops the column and, with it, the answers given since: who has completed the onboarding is
-- written nowhere else.

ALTER TABLE users DROP COLUMN onboarding_completed;
