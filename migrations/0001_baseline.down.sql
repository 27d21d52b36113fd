-- Back to an empty database: every row is lost. Tables that refer to others go first, so that
-- none needs CASCADE, which would also drop objects that this file knows nothing of.

DROP TABLE workshops;
DROP TABLE courses;
DROP TABLE teacher_applications;
DROP TABLE workshops_userprofile;
DROP TABLE accounts_userprofile;
DROP TABLE vehicles;
DROP TABLE racer_profiles;
DROP TABLE tasks;
DROP TABLE users;
