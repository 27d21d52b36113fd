-- no-transaction
-- A person's tasks, newest first; and the foreign key's own look when an account is deleted, which
-- read the whole table until now. CONCURRENTLY, so that tasks are written during the build.
CREATE INDEX CONCURRENTLY idx_tasks_user_id_created_at ON tasks (user_id, created_at DESC);
