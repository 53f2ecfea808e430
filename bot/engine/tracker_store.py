"""Conversations in PostgreSQL, encrypted, and honest about failure.

Differs from Rasa's SQLTrackerStore where that one loses or reveals things: event data is encrypted, names of intents
and actions are not stored beside it, a message's id can be looked up, the current session is found by position
instead of by clock, and two overlapping turns cannot both be saved (with the stock lock and store three of eight were
lost). Nothing falls back to memory: a failing database fails the turn.

Calls are synchronous as Rasa's are; the engine serves one turn's step at a time on its loop, so one connection is
enough.
"""

import base64
import binascii
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import (
    Any,
    TypeVar,
)

import psycopg2
import psycopg2.extras
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event, SessionStarted, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

Result = TypeVar("Result")

DDL = Path(__file__).with_name("events.sql")
_KEY_VERSION = b"\x01"
_NONCE_BYTES = 12
_STORED = "_stored_up_to"

_SESSION = """
SELECT position, data FROM engine.events
 WHERE sender_id = %(s)s
   AND position >= coalesce((SELECT max(position) FROM engine.events
                              WHERE sender_id = %(s)s AND type_name = 'session_started'), 0)
 ORDER BY position
"""
_ALL = "SELECT position, data FROM engine.events WHERE sender_id = %(s)s ORDER BY position"
_LAST = "SELECT coalesce(max(position), 0) FROM engine.events WHERE sender_id = %(s)s"
_INSERT = """
INSERT INTO engine.events (sender_id, position, type_name, timestamp, message_id, data) VALUES %s
"""
# What was answered to a message: everything said between it and the person's next one. A saved message without an answer
# is one row of nulls, an unknown message no row.
_ANSWER = """
WITH asked AS (SELECT position FROM engine.events WHERE sender_id = %(s)s AND message_id = %(m)s),
     next AS (SELECT min(later.position) AS position FROM engine.events AS later, asked
               WHERE later.sender_id = %(s)s AND later.type_name = 'user' AND later.position > asked.position)
SELECT said.position, said.data FROM asked CROSS JOIN next
  LEFT JOIN engine.events AS said ON said.sender_id = %(s)s AND said.type_name = 'bot'
   AND said.position > asked.position AND said.position < coalesce(next.position, 9223372036854775807)
 ORDER BY said.position
"""


class OverlappingTurns(Exception):
    """Another turn of this conversation was saved since this one loaded it; this one is not saved."""


class EventCipher:
    """AES-GCM over one event; sender and position are authenticated, so that rows cannot be swapped or moved."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, sender_id: str, position: int, event: dict[str, Any]) -> bytes:
        """Version byte, nonce (12), ciphertext with tag (16)."""
        nonce = os.urandom(_NONCE_BYTES)
        plain = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        return _KEY_VERSION + nonce + self._aead.encrypt(nonce, plain, _bound_to(sender_id, position))

    def open(self, sender_id: str, position: int, sealed: bytes) -> dict[str, Any]:
        """The event.

        Raises:
            cryptography.exceptions.InvalidTag: another key, or the row was changed or moved.
            ValueError: an unknown version.
        """
        if sealed[:1] != _KEY_VERSION:
            raise ValueError("an event with an unknown key version")
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        event: dict[str, Any] = json.loads(self._aead.decrypt(nonce, body, _bound_to(sender_id, position)))
        return event


def _bound_to(sender_id: str, position: int) -> bytes:
    return f"engine.events.data|{sender_id}|{position}".encode()


def read_key(value: str | None) -> bytes:
    """The 32 bytes of ENGINE_DATA_KEY.

    Raises:
        ValueError: names the variable and what was expected, never the value.
    """
    try:
        key = base64.b64decode(value or "", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("ENGINE_DATA_KEY: expected 32 random bytes in base64")
    return key


class EncryptedTrackerStore(TrackerStore):
    """`tracker_store: {type: bot.engine.tracker_store.EncryptedTrackerStore, url: postgresql://...}` in endpoints.yml.

    The database may be away when the engine starts; each turn then fails until it is back.
    """

    def __init__(
        self,
        host: str | None = None,
        domain: Domain | None = None,
        event_broker: EventBroker | None = None,
        key: bytes | None = None,
        **kwargs: Any,
    ) -> None:
        if not host or not host.startswith(("postgresql://", "postgres://")):
            raise ValueError("tracker_store: expected url, an address like postgresql://user@host:5432/itp")
        self._dsn = host
        self._cipher = EventCipher(key or read_key(os.environ.get("ENGINE_DATA_KEY")))
        self._connection: Any = None
        super().__init__(domain, event_broker, **kwargs)

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Append what is new since the conversation was loaded, in one statement.

        Raises:
            OverlappingTurns: somebody else appended meanwhile.
            psycopg2.Error: the database; nothing was saved.
        """
        sender_id = tracker.sender_id
        loaded = getattr(tracker, _STORED, None)
        if loaded is None:
            # Not from this store: Rasa's own HTTP routes build trackers. The saved session is their known part.
            rows = self._read(_SESSION, s=sender_id)
            loaded = (len(rows), int(self._read(_LAST, s=sender_id)[0][0]))
        known, last = loaded
        new = list(tracker.events)[known:]
        if new:
            self._append(sender_id, last, new)
        setattr(tracker, _STORED, (known + len(new), last + len(new)))

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        """The current session of a conversation, or None when there is none."""
        return self._tracker(sender_id, self._read(_SESSION, s=sender_id))

    async def retrieve_full_tracker(self, conversation_id: str) -> DialogueStateTracker | None:
        """All sessions of a conversation."""
        return self._tracker(conversation_id, self._read(_ALL, s=conversation_id))

    async def keys(self) -> Iterable[str]:
        """All conversations."""
        return [sender_id for (sender_id,) in self._read("SELECT DISTINCT sender_id FROM engine.events")]

    def answer_to(self, sender_id: str, message_id: str) -> list[dict[str, Any]] | None:
        """The `bot` events that followed a message in the saved conversation; None when the message is not saved."""
        rows = self._read(_ANSWER, s=sender_id, m=message_id)
        if not rows:
            return None
        return [self._cipher.open(sender_id, at, bytes(data)) for at, data in rows if at is not None]

    def forget(self, sender_id: str) -> int:
        """Delete a conversation; gives the number of events. The app does the same with plain SQL."""

        def delete(cursor: Any) -> int:
            cursor.execute("DELETE FROM engine.events WHERE sender_id = %s", (sender_id,))
            return int(cursor.rowcount)

        return self._within(delete)

    def _tracker(self, sender_id: str, rows: Sequence[tuple[int, Any]]) -> DialogueStateTracker | None:
        if not rows:
            return None
        events = [self._cipher.open(sender_id, position, bytes(data)) for position, data in rows]
        tracker = DialogueStateTracker.from_dict(sender_id, events, self.domain.slots)
        # Restarts and the like may drop events from a tracker while it is built; the store counts its own rows.
        setattr(tracker, _STORED, (len(tracker.events), rows[-1][0]))
        return tracker

    def _append(self, sender_id: str, last: int, events: Sequence[Event]) -> None:
        rows = []
        for position, event in enumerate(events, start=last + 1):
            message_id = event.message_id if isinstance(event, UserUttered) else None
            sealed = self._cipher.seal(sender_id, position, event.as_dict())
            kind = SessionStarted.type_name if isinstance(event, SessionStarted) else event.type_name
            rows.append(
                (
                    sender_id,
                    position,
                    kind,
                    event.timestamp,
                    message_id,
                    psycopg2.Binary(sealed),
                )
            )

        def insert(cursor: Any) -> None:
            psycopg2.extras.execute_values(cursor, _INSERT, rows, page_size=len(rows))

        try:
            self._within(insert)
        except psycopg2.errors.UniqueViolation as error:
            raise OverlappingTurns from error

    def _read(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        def select(cursor: Any) -> list[tuple[Any, ...]]:
            cursor.execute(query, values)
            return list(cursor.fetchall())

        return self._within(select, repeatable=True)

    def _within(self, work: Callable[[Any], Result], *, repeatable: bool = False) -> Result:
        """Run one statement, which is its own transaction; a `repeatable` one once more when the connection was dead."""
        while True:
            reused = self._connection is not None
            connection = self._connection if reused else self._connect()
            try:
                with connection.cursor() as cursor:
                    return work(cursor)
            except psycopg2.Error:
                if connection.closed:
                    self._connection = None
                    if reused and repeatable:
                        continue
                raise

    def _connect(self) -> Any:
        connection = psycopg2.connect(
            self._dsn, connect_timeout=3, application_name="itp-engine", options="-c statement_timeout=5000"
        )
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT to_regclass('engine.events')")
                if cursor.fetchone()[0] is None:
                    # Replicas that start together must not create it together.
                    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('engine.events'))")
                    cursor.execute(DDL.read_text("utf8"))
            connection.autocommit = True
        except psycopg2.Error:
            with suppress(psycopg2.Error):
                connection.close()
            raise
        self._connection = connection
        return connection
