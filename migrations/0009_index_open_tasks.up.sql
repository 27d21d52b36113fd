-- no-transaction
-- What a person still has to do. Partial: what is done, the greater part in the long run, takes no
-- place in it.
CREATE INDEX CONCURRENTLY idx_tasks_open ON tasks (user_id) WHERE NOT completed;
