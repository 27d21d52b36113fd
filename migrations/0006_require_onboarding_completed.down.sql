-- Back to the rule for new writes only, exactly as version 5 left it. The constraint comes first,
-- so that no moment admits a NULL.

ALTER TABLE users
    ADD CONSTRAINT users_onboarding_completed_decided
    CHECK (onboarding_completed IS NOT NULL) NOT VALID;
ALTER TABLE users ALTER COLUMN onboarding_completed DROP NOT NULL;
