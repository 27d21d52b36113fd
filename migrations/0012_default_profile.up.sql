-- Every owner of racer profiles has one default, at first the first profile. Add-only, and no row is
-- written: a constant default is kept in the catalog, and the index, which holds defaults only, is
-- empty when it is built. So the service may apply this file when it starts, also over 200,000
-- profiles. Until version 13 has come by, owners from before have no default: read
-- `ORDER BY is_default DESC, created_at, id`, whose first row is right before and after it.

ALTER TABLE racer_profiles ADD COLUMN is_default boolean NOT NULL DEFAULT false;

-- At most one default an owner. Whoever changes it takes it from the old one first, and then gives
-- it to the new one, in one transaction: a unique index looks at every row as it is written.
CREATE UNIQUE INDEX idx_racer_profiles_is_default ON racer_profiles (owner_id) WHERE is_default;

-- At least one: code that does not know the column makes profiles too. The owner's row is locked, so
-- that of two first profiles that come at once the second one finds the first. An owner who has
-- profiles from before, and no default yet, is left to version 13.
CREATE FUNCTION racer_profiles_first_is_default() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM "user" WHERE id = NEW.owner_id FOR NO KEY UPDATE;
    NEW.is_default := NOT EXISTS (SELECT FROM racer_profiles WHERE owner_id = NEW.owner_id);
    RETURN NEW;
END
$$;

CREATE TRIGGER racer_profiles_first_is_default BEFORE INSERT ON racer_profiles
FOR EACH ROW WHEN (NOT NEW.is_default) EXECUTE FUNCTION racer_profiles_first_is_default();

-- And when a profile is deleted and no default is left, the oldest of the others becomes it. The owner's
-- row is locked here too, or a profile that is made meanwhile would take the deleted one for the default;
-- and it is tried again, because the oldest may be deleted by somebody else in the same moment. Whichever
-- was deleted: version 13 must not find an owner whose first profile goes while it looks.
CREATE FUNCTION racer_profiles_next_is_default() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    oldest bigint;
BEGIN
    IF EXISTS (SELECT FROM racer_profiles WHERE owner_id = OLD.owner_id AND is_default) THEN
        RETURN NULL;
    END IF;
    PERFORM FROM "user" WHERE id = OLD.owner_id FOR NO KEY UPDATE;
    LOOP
        SELECT profile.id INTO oldest FROM racer_profiles AS profile
        WHERE profile.owner_id = OLD.owner_id
            AND NOT EXISTS (
                SELECT FROM racer_profiles AS other WHERE other.owner_id = OLD.owner_id AND other.is_default
            )
        ORDER BY profile.created_at, profile.id
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        UPDATE racer_profiles SET is_default = true WHERE id = oldest;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE TRIGGER racer_profiles_next_is_default AFTER DELETE ON racer_profiles
FOR EACH ROW EXECUTE FUNCTION racer_profiles_next_is_default();
