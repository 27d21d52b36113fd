-- Contract, first half: no new NULL from here on. NOT VALID takes the rule for new writes at
-- once and leaves the existing rows for the next version to read, under a weaker lock.

ALTER TABLE users
    ADD CONSTRAINT users_onboarding_completed_decided
    CHECK (onboarding_completed IS NOT NULL) NOT VALID;
