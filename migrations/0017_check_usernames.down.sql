-- Allows NULL and any name again; no row changes.

ALTER TABLE "user"
    DROP CONSTRAINT user_username_format,
    DROP CONSTRAINT user_username_given;
