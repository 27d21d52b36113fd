-- Contract: whoever signs up chooses a name. What gave one to those who did not goes. Code of the
-- release before can no longer make accounts here: it leaves the username NULL, which is refused.

DROP TRIGGER user_claims_username ON "user";
DROP FUNCTION user_claims_username();
DROP FUNCTION claim_username(bigint, text);
DROP TABLE username_claims;
DROP FUNCTION username_numbered(text, bigint);
DROP FUNCTION username_base(text);
