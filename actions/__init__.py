"""Custom actions: slots in, one use case, an utterance out. No rules and no SQL live here."""
