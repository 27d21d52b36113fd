-- The old names again. Lost: who has verified an e-mail address, and the images, which are written
-- nowhere else. An account without a password, which the old table cannot hold, gets one that nobody
-- can know: "!" is the hash of no password. That comes first, while others still read and write;
-- should somebody make another such account before the lock is had, SET NOT NULL fails, nothing is
-- done, and it can be run again. SET NOT NULL reads the whole table under the lock: 86 ms, measured
-- with 300,000 rows on a busy machine. After the renaming, because newer servers name what it makes
-- after the table.

UPDATE "user" SET hashed_password = '!' WHERE hashed_password IS NULL;
DROP VIEW users;
ALTER TABLE "user" RENAME TO users;
ALTER TABLE users RENAME COLUMN "updatedAt" TO updated_at;
ALTER TABLE users RENAME COLUMN "createdAt" TO created_at;
ALTER TABLE users
    ALTER COLUMN hashed_password SET NOT NULL,
    DROP COLUMN image,
    DROP COLUMN "emailVerified";
