-- Contract, first half: from here on everybody who comes has a name, and one that follows the rule.
-- NOT VALID takes both for new writes at once and leaves the existing rows for the next version to
-- read, under a weaker lock. Of the rule only what never changes: reserved names are asked for
-- where a name is chosen.

ALTER TABLE "user"
    ADD CONSTRAINT user_username_given CHECK (username IS NOT NULL) NOT VALID,
    ADD CONSTRAINT user_username_format CHECK (username_format_problem(username) IS NULL) NOT VALID;
