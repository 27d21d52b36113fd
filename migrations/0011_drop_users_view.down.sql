-- The old name again, as version 7 made it, rights included.

CREATE VIEW users AS
SELECT
    id, email, name, hashed_password, "createdAt" AS created_at, "updatedAt" AS updated_at,
    onboarding_completed
FROM "user";

DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT
            acl.privilege_type,
            CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee
        FROM pg_class AS class
        CROSS JOIN aclexplode(class.relacl) AS acl
        WHERE class.oid = '"user"'::regclass
            AND acl.grantee <> class.relowner
            AND acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT %s ON users TO %s', given.privilege_type, given.grantee);
    END LOOP;
END
$$;
