"""What the engine may reach: its own schema and the demo's clock in PostgreSQL, its own keys in Redis, nothing else.

Where the configured user may not make roles or users, the engine gets the configured address itself (docs/operations.md
says how to make a narrow one by hand).
"""

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot.store.database import Database


async def role(database: Database, address: str, secret: str) -> str:
    """A role that reaches the engine's schema and the demo's clock and nothing else, where we may make one."""
    async with database.engine.connect() as connection:
        may = await connection.scalar(
            text("select rolcreaterole or rolsuper from pg_roles where rolname = current_user")
        )
    if not may:
        return libpq(address)
    name = make_url(address).database
    async with database.connection() as connection:
        # Roles belong to the whole server: two databases on it must not make the same one at once.
        await connection.execute(text("select pg_advisory_xact_lock(6039)"))
        if not await connection.scalar(text("select 1 from pg_roles where rolname = 'itp_engine'")):
            await connection.execute(text("create role itp_engine login"))
        quoted = secret.replace("'", "''")
        await connection.execute(text(f"alter role itp_engine password '{quoted}'"))
        await connection.execute(text("create schema if not exists engine authorization itp_engine"))
        await connection.execute(text(f'grant connect, create on database "{name}" to itp_engine'))
        await connection.execute(text("grant usage on schema public to itp_engine"))
        await connection.execute(text("grant select on demo_clock to itp_engine"))
    url = make_url(address).set(drivername="postgresql", username="itp_engine", password=secret)
    return url.render_as_string(hide_password=False)


async def redis_user(redis: Redis, address: str, secret: str) -> str:
    """A Redis user that reaches the conversations' locks and nothing else, where we may make one."""
    try:
        await redis.execute_command(  # type: ignore[no-untyped-call]
            "ACL", "SETUSER", "engine", "reset", "on", f">{secret}", "~engine:*", "+@all", "-@admin", "-@dangerous"
        )
    except RedisError:
        return address
    scheme, _, rest = address.partition("://")
    return f"{scheme}://engine:{secret}@{rest.rpartition('@')[2]}"


def libpq(address: str) -> str:
    """An address as the engine's driver wants it."""
    return make_url(address).set(drivername="postgresql").render_as_string(hide_password=False)
