-- Contract: nobody uses the old name any more. Only the view goes, and no row with it. Code of the
-- release before stops working here: `relation "users" does not exist`.

DROP VIEW users;
