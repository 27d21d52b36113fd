-- no-transaction
-- A plain DROP INDEX would queue behind the table's readers and stop everybody behind itself.
-- IF EXISTS, because a drop that was stopped half-way may be run again.
DROP INDEX CONCURRENTLY IF EXISTS idx_users_onboarding_completed;
