-- Back to the rules for new writes only, exactly as version 17 left them. The constraints come first,
-- so that no moment admits a NULL.

ALTER TABLE "user"
    DROP CONSTRAINT user_username_format,
    ADD CONSTRAINT user_username_given CHECK (username IS NOT NULL) NOT VALID,
    ADD CONSTRAINT user_username_format CHECK (username_format_problem(username) IS NULL) NOT VALID,
    ALTER COLUMN username DROP NOT NULL;
