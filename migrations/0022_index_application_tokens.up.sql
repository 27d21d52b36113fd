-- no-transaction
-- Each application is found by its token, and a token belongs to one application.
CREATE UNIQUE INDEX CONCURRENTLY teacher_applications_token_key ON teacher_applications (token);
