-- Contract, second half. VALIDATE reads every row while writes go on; SET NOT NULL then finds the
-- proof in the valid constraint and needs no scan under its exclusive lock. That constraint has done
-- its work and goes; the rule for the format stays.

ALTER TABLE "user" VALIDATE CONSTRAINT user_username_format;
ALTER TABLE "user" VALIDATE CONSTRAINT user_username_given;
-- A statement of its own: one ALTER TABLE drops constraints first, and would find no proof any more.
ALTER TABLE "user" ALTER COLUMN username SET NOT NULL;
ALTER TABLE "user" DROP CONSTRAINT user_username_given;
