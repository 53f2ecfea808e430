"""Ten thousand events of history for one conversation, written by the real tracker store's cipher (engine's interpreter).

`python -m bench.own.history NUMBER < conversations` copies each conversation's own first turn until it has so many events.
"""

import os
import sys
import time

import psycopg2
import psycopg2.extras

from bot.engine.tracker_store import EventCipher, read_key


def main() -> None:
    """Read conversation ids from standard input, lengthen each."""
    wanted = int(sys.argv[1])
    cipher = EventCipher(read_key(os.environ["ENGINE_DATA_KEY"]))
    with psycopg2.connect(os.environ["DATABASE_URL"]) as connection, connection.cursor() as cursor:
        for line in sys.stdin:
            sender = line.strip()
            cursor.execute(
                "select position, type_name, timestamp, data from engine.events where sender_id = %s order by position",
                (sender,),
            )
            turn = [(kind, at, cipher.open(sender, position, bytes(data))) for position, kind, at, data in cursor]
            # The session stays one: only what was said and done in it is repeated.
            repeated = [one for one in turn if one[0] not in ("session_started", "slot")]
            last = len(turn)
            rows: list[tuple[object, ...]] = []
            while len(turn) + len(rows) < wanted:
                kind, at, event = repeated[len(rows) % len(repeated)]
                last += 1
                event = {**event, "timestamp": time.time()}
                rows.append((sender, last, kind, at, None, cipher.seal(sender, last, event)))
            psycopg2.extras.execute_values(
                cursor,
                "insert into engine.events (sender_id, position, type_name, timestamp, message_id, data) values %s",
                rows,
            )


if __name__ == "__main__":
    main()
