"""The demo's clock: how far the service is ahead of the machine, as one row.

Every process follows it, and so does the engine's launcher, so that sessions expire with it. Production has no row.
"""

from datetime import timedelta

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from bot import clock
from bot.store.base import Base
from bot.store.channel import Channel
from bot.store.database import Database

MOVED = "demo_clock_moved"


class DemoClock(Base):
    """One row, id 1."""

    __tablename__ = "demo_clock"

    id: Mapped[int] = mapped_column(primary_key=True)
    offset_seconds: Mapped[float]


async def follow(database: Database, channel: Channel) -> None:
    """Set this process's clock now, and again whenever the row moves."""
    async with database.reading() as session:
        seconds = await session.scalar(select(DemoClock.offset_seconds).where(DemoClock.id == 1))
    clock.set_offset(timedelta(seconds=seconds or 0))
    await channel.listen(MOVED, lambda payload: clock.set_offset(timedelta(seconds=float(payload))))


async def move(database: Database, offset_seconds: float) -> None:
    """Put the clock so many seconds ahead of the machine, in every process."""
    statement = insert(DemoClock).values(id=1, offset_seconds=offset_seconds)
    async with database.connection() as connection:
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["id"], set_={"offset_seconds": offset_seconds})
        )
        await connection.execute(text("select pg_notify(:t, :p)"), {"t": MOVED, "p": repr(offset_seconds)})
    clock.set_offset(timedelta(seconds=offset_seconds))
