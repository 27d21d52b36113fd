-- Backfill: whoever was here before the column has no onboarding to do. Only undecided rows are
-- written, so the statement may be stopped and run again: it takes up what is left, and never
-- turns a new account's false into true. The marker lets it run in key ranges, one short
-- transaction each; where it is not known it reads TRUE, and one transaction does it all.

UPDATE users SET onboarding_completed = true WHERE /* batch: users.id */ TRUE AND onboarding_completed IS NULL;

-- Nothing but a backfill changes a whole column at once: without fresh statistics the planner
-- would take the column for empty until autovacuum comes by.
ANALYZE users;
