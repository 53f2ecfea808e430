"""Work that arrives together is done together: one way to the database and one commit for a burst.

The first to arrive never waits; those that arrive while it is under way share the next turn. So a burst gets cheap and a
lone piece of work costs what it did.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bot.logs import place

log = structlog.get_logger(__name__)


class Together[Asked, Done]:
    """Calls `do` with what is waiting, in the order of arrival, `turns` of them at a time.

    A turn that fails is repeated for each alone, so that a bad one does not cost the others theirs.
    """

    def __init__(
        self, do: Callable[[Sequence[Asked]], Awaitable[Sequence[Done]]], *, name: str, most: int = 100, turns: int = 1
    ) -> None:
        """`do` answers each of what it is given, in the same order; `most` is how many it gets at once.

        With one turn at a time things are done in the order in which they came.
        """
        self._do = do
        self._name = name
        self._most = most
        self._waiting: list[tuple[Asked, asyncio.Future[Done]]] = []
        self._turns = turns
        self._workers: set[asyncio.Task[None]] = set()

    async def __call__(self, asked: Asked) -> Done:
        """Return once it is done.

        Raises:
            Whatever `do` raised when it was given this one alone.
        """
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        self._employ()
        return await future

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        # What came between the worker's last look and its end waits for nobody else.
        self._employ()

    def _employ(self) -> None:
        if self._waiting and len(self._workers) < self._turns:
            worker = asyncio.create_task(self._work(), name=self._name)
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    async def _work(self) -> None:
        while self._waiting:
            turn, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                await self._turn(turn)
            except Exception as error:  # each of those waiting must learn of it, whatever it is
                if len(turn) == 1:
                    self._fail(turn[0][1], error)
                    continue
                log.warning("together.alone", work=self._name, pieces=len(turn), error=place(error))
                for one in turn:
                    try:
                        await self._turn([one])
                    except Exception as alone:
                        self._fail(one[1], alone)

    async def _turn(self, turn: list[tuple[Asked, asyncio.Future[Done]]]) -> None:
        done = await self._do([asked for asked, _ in turn])
        for (_, future), one in zip(turn, done, strict=True):
            if not future.done():
                future.set_result(one)

    def _fail(self, future: asyncio.Future[Done], error: Exception) -> None:
        log.error("together.failed", work=self._name, error=place(error))
        if not future.done():
            future.set_exception(error)
