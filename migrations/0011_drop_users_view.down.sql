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
