-- Drops the applications' tokens, which are written nowhere else, and what was kept aside. Version
-- 21's way back has used it by now.

ALTER TABLE teacher_applications DROP COLUMN token;
DROP TRIGGER workshops_userprofile_is_carried_over ON workshops_userprofile;
DROP FUNCTION workshops_userprofile_is_carried_over();
DROP FUNCTION carry_over_profile(bigint);
DROP TABLE aside.profiles_carried_over;
DROP TABLE aside.teachers_before;
DROP SCHEMA aside;
