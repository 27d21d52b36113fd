-- Contract, second half. VALIDATE reads every row while writes go on; SET NOT NULL then finds
-- the proof in the valid constraint and needs no scan under its exclusive lock. The constraint
-- has done its work and goes.

ALTER TABLE users VALIDATE CONSTRAINT users_onboarding_completed_decided;
ALTER TABLE users ALTER COLUMN onboarding_completed SET NOT NULL;
ALTER TABLE users DROP CONSTRAINT users_onboarding_completed_decided;
