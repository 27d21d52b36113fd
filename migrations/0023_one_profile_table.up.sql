-- Contract: the old table leaves the service's sight, and code of the release before stops working. Its
-- rows stay, in the schema `aside`, until the release is confirmed: with their ids, their foreign key
-- and their sequence, so that the way back has all of it. Who deletes their account is gone from
-- there too. A later release drops the schema.

DROP TRIGGER workshops_userprofile_is_carried_over ON workshops_userprofile;
DROP FUNCTION workshops_userprofile_is_carried_over();
DROP FUNCTION carry_over_profile(bigint);
ALTER TABLE workshops_userprofile SET SCHEMA aside;
