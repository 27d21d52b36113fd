-- Nothing is undone here, on purpose: version 14's way back drops the column and the claims with all
-- that they hold, and to stop here is safe. A later up names whoever has none by then.

SELECT 1;
