-- Every conversation and message is lost: only new code writes them.

DROP TABLE messages;
DROP TABLE conversations;
