-- Conversations as the engine keeps them. One row an event; `data` is the event's JSON under ENGINE_DATA_KEY (AES-GCM).
-- sender_id is a random surrogate of the account. To forget a conversation: DELETE FROM engine.events WHERE sender_id = ...
-- The primary key is what makes two overlapping turns impossible to save both, the message's index what makes one message
-- impossible to save twice, whatever the lock did.
-- A role that owns the schema need not be allowed to make one: CREATE SCHEMA asks for that right even when it is there.
DO $$ BEGIN IF to_regnamespace('engine') IS NULL THEN CREATE SCHEMA engine; END IF; END $$;
CREATE TABLE IF NOT EXISTS engine.events (
    sender_id   text             NOT NULL,
    position    bigint           NOT NULL,
    type_name   text             NOT NULL,
    timestamp   double precision NOT NULL,
    intent_name text             NOT NULL DEFAULT '',
    action_name text             NOT NULL DEFAULT '',
    message_id  text,
    data        bytea            NOT NULL,
    PRIMARY KEY (sender_id, position)
);
CREATE UNIQUE INDEX IF NOT EXISTS events_message ON engine.events (sender_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_session ON engine.events (sender_id, position) WHERE type_name = 'session_started';
CREATE INDEX IF NOT EXISTS events_age ON engine.events (timestamp);
