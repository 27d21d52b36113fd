-- Nothing is undone here, on purpose: version 12's way back drops the column with all that it holds,
-- and to stop here is safe. What this file does not give back is the column's content.

SELECT 1;
