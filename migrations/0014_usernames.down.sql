-- Drops the column with every username in it, also those that people chose, and the list of tenants.
-- The tenants' schemas stay: what people keep in them is theirs, and no list of names is worth it.

DROP TRIGGER user_claims_username ON "user";
DROP FUNCTION user_claims_username();
DROP FUNCTION claim_username(bigint, text);
DROP TABLE username_claims;
DROP FUNCTION username_numbered(text, bigint);
DROP FUNCTION username_base(text);
DROP TABLE tenants;
DROP FUNCTION username_problem(text);
DROP TABLE reserved_usernames;
DROP FUNCTION username_format_problem(text);
ALTER TABLE "user" DROP COLUMN username;
