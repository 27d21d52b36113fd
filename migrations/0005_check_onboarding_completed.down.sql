-- Allows NULL again; no row changes.

ALTER TABLE users DROP CONSTRAINT users_onboarding_completed_decided;
