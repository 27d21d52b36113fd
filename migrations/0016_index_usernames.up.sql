-- no-transaction
-- Log-in by username, and the promise that no two people share one. After the backfill, which then
-- has no index to maintain. Two people with one name make the build fail: 0015 cannot make them,
-- somebody who wrote to the column by hand can.
CREATE UNIQUE INDEX CONCURRENTLY user_username_key ON "user" (username);
