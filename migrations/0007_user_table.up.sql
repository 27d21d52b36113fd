-- The table gets the name and the columns that the service's auth library asks for: "user", a
-- reserved word and so always quoted, and mixed-case columns, quoted likewise. Renaming changes the
-- catalog only, and foreign keys follow the table by themselves. Everything here is one moment: no
-- statement of anybody ever finds neither the one name nor the other.
--
-- Code of the release before goes on with the old names, through a view that PostgreSQL itself can
-- write through: INSERT, UPDATE, DELETE, RETURNING and ON CONFLICT reach the table. Defaults are the
-- table's. What is different for that code: an account without a password, which only new code
-- makes, gives it NULL where it expects a text, so that a log-in there fails with an error.

ALTER TABLE users RENAME TO "user";
ALTER TABLE "user" RENAME COLUMN created_at TO "createdAt";
ALTER TABLE "user" RENAME COLUMN updated_at TO "updatedAt";
ALTER TABLE "user"
    ADD COLUMN "emailVerified" boolean NOT NULL DEFAULT false,
    ADD COLUMN image text,
    ALTER COLUMN hashed_password DROP NOT NULL;

CREATE VIEW users AS
SELECT
    id, email, name, hashed_password, "createdAt" AS created_at, "updatedAt" AS updated_at,
    onboarding_completed
FROM "user";

-- Rights stay with the table. Whoever had been given some, on all of it or on single columns, needs them
-- for the old name as well.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT
            acl.privilege_type || COALESCE(' (' || quote_ident(acl.old_name) || ')', '') AS privilege,
            CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee,
            CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS option
        FROM (
            SELECT right_of.*, NULL AS old_name
            FROM pg_class AS class
            CROSS JOIN aclexplode(class.relacl) AS right_of
            WHERE class.oid = '"user"'::regclass
            UNION ALL
            SELECT right_of.*, renamed.old_name
            FROM pg_attribute AS attribute
            CROSS JOIN aclexplode(attribute.attacl) AS right_of
            CROSS JOIN LATERAL (
                SELECT CASE attribute.attname
                    WHEN 'createdAt' THEN 'created_at'
                    WHEN 'updatedAt' THEN 'updated_at'
                    ELSE attribute.attname
                END AS old_name
            ) AS renamed
            WHERE attribute.attrelid = '"user"'::regclass
                AND renamed.old_name IN (SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass)
        ) AS acl
        WHERE acl.grantee <> (SELECT relowner FROM pg_class WHERE oid = '"user"'::regclass)
            AND acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT %s ON users TO %s%s', given.privilege, given.grantee, given.option);
    END LOOP;
END
$$;
