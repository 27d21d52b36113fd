-- no-transaction
-- IF EXISTS, because a drop that was stopped half-way may be run again.
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_open;
