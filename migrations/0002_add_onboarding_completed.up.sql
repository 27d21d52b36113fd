-- Expand: a place for the answer, without touching a row. A column without a default is only a
-- catalog change, and leaves NULL, "not decided yet", in the rows that exist. The default
-- follows in the same transaction, so that nobody can sign up between the two: every account
-- made from here on starts with false, also one made by code that does not know the column.

ALTER TABLE users ADD COLUMN onboarding_completed boolean;
ALTER TABLE users ALTER COLUMN onboarding_completed SET DEFAULT false;
