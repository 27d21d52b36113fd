-- Nothing is undone here, on purpose. The way back goes on to version 2, whose down file drops
-- the column and the backfilled values with it; writing NULL over them first would write every
-- row a second time for nothing. To stop the way back here is safe too: NULL and true mean the
-- same to the service (this account needs no onboarding), and a later up finds fewer rows
-- undecided. The same holds for a backfill that was stopped half-way: run it again, or go back.
-- What this file does not give back is the column's content: the rows keep true.

SELECT 1;
