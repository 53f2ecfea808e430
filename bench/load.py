"""The load generator, a process of its own: `python -m bench.load SPEC` sends prepared requests and prints what came of it.

Closed loop: each connection sends its next request when the last one is answered. Open loop: requests leave at their
times whatever the server does, and each is timed from the moment it was due. A server that closes a connection after
each answer pays for the next one, as it would with WeChat.
"""

import asyncio
import json
import pickle
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import uvloop


@dataclass
class Heard:
    """What a run of the generator saw. Latencies in milliseconds; `replied` counts the answers that carried a reply."""

    seconds: float
    answered: int
    failed: int
    per_second: float
    p50: float
    p99: float
    worst: float
    replied: int


class _Connection(asyncio.Protocol):
    """One keep-alive connection; `body` is the last answer's, `_closes` that the server wanted it to be the last."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[bool] | None = None
        self._buffer = b""
        self._closes = False
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        size = int(lower[start : (lower + b"\r").index(b"\r", start)])
        if len(body) < size:
            return
        self._buffer, self._closes = b"", b"connection: close" in lower
        self.body = body
        self._done(head[9:12] == b"200")

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._done(False)

    def _done(self, well: bool) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(well)

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self._closes and not self.transport.is_closing()

    async def ask(self, request: bytes) -> bool:
        if self.transport is None:
            raise ConnectionResetError
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Pool:
    def __init__(self, port: int, reply: bytes) -> None:
        self._port = port
        self._reply = reply
        self._idle: deque[_Connection] = deque()
        self.replied = 0

    async def ask(self, request: bytes) -> bool:
        connection = self._idle.pop() if self._idle else _Connection()
        if not connection.usable:
            connection.close()
            connection = _Connection()
            await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", self._port)
        well = await connection.ask(request)
        self.replied += well and connection.body.startswith(self._reply)
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.close()
        return well

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


class _Run:
    def __init__(self, port: int, requests: list[bytes], patience: float, reply: bytes) -> None:
        self._pool = _Pool(port, reply)
        self._requests = deque(requests)
        self._patience = patience
        self.took: list[float] = []
        self.failed = 0

    async def one(self, due: float) -> None:
        request = self._requests.popleft()
        try:
            async with asyncio.timeout(self._patience):
                well = await self._pool.ask(request)
        except (OSError, TimeoutError):
            well = False
        if well:
            self.took.append(time.perf_counter() - due)
        else:
            self.failed += 1

    async def closed(self, connections: int, seconds: float) -> None:
        end = time.perf_counter() + seconds

        async def worker() -> None:
            while self._requests and time.perf_counter() < end:
                await self.one(time.perf_counter())

        await asyncio.gather(*(worker() for _ in range(connections)))

    async def opened(self, rate: float, seconds: float) -> None:
        begin, running = time.perf_counter(), set()
        for number in range(min(int(rate * seconds), len(self._requests))):
            due = begin + number / rate
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            task = asyncio.create_task(self.one(due))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    @property
    def replied(self) -> int:
        """How many answers carried a reply."""
        return self._pool.replied

    def close(self) -> None:
        self._pool.close()


def quantile(values: list[float], share: float) -> float:
    """The value below which this share of them lies; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def run(spec: dict[str, Any], requests: list[bytes]) -> Heard:
    """Send; `spec` has port, seconds, patience, `reply` (how one begins), connections (closed loop) or rate (open loop)."""
    whole = _Run(spec["port"], requests, spec.get("patience", 10.0), spec.get("reply", "<xml>").encode())
    began = time.perf_counter()
    if (rate := spec.get("rate")) is not None:
        await whole.opened(rate, spec["seconds"])
    else:
        await whole.closed(spec["connections"], spec["seconds"])
    seconds = time.perf_counter() - began
    whole.close()
    took = [1000 * one for one in whole.took]
    return Heard(
        seconds=seconds,
        answered=len(took),
        failed=whole.failed,
        per_second=len(took) / seconds,
        p50=quantile(took, 0.5),
        p99=quantile(took, 0.99),
        worst=max(took, default=0.0),
        replied=whole.replied,
    )


def main() -> None:
    """Read the spec and the prepared requests, run, print one line of JSON."""
    spec = json.loads(sys.argv[1])
    requests = pickle.loads(Path(spec["requests"]).read_bytes())
    print(json.dumps(asdict(uvloop.run(run(spec, requests)))), flush=True)


if __name__ == "__main__":
    main()
