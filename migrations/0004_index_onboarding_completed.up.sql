-- no-transaction
-- For the few accounts whose onboarding is open. CONCURRENTLY, which no transaction may hold,
-- so that sign-ups go on during the build; one statement only, so that the file can be sent
-- whole. After the backfill, so that the build reads the final values and the backfill had no
-- index to maintain. No IF NOT EXISTS: it would pass over an INVALID index of a failed build.
CREATE INDEX CONCURRENTLY idx_users_onboarding_completed ON users (onboarding_completed);
