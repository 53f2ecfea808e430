"""The command line: `python -m bot users create-admin`, `… keys rotate`, `… migrations check`.

Parts are imported when they are asked for: the command line is the one place beside `server.py` that knows them all.
"""

import argparse
import asyncio
import getpass
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING

from bot import settings
from bot.settings import Settings, SettingsRefused

if TYPE_CHECKING:
    from bot.store.database import Database


class Refused(Exception):
    """What was asked for cannot be done; one sentence says why."""


@asynccontextmanager
async def _database_address(configured: Settings) -> AsyncIterator[str]:
    """The configured database, or our own, started or joined for the length of the command."""
    from bot.store import embedded

    if configured.database_url is not None:
        yield configured.database_url.get_secret_value()
        return
    started = await asyncio.to_thread(embedded.start, var_dir=configured.var_dir, postgres=True, valkey=False)
    try:
        assert started.database_url is not None
        yield started.database_url
    finally:
        await asyncio.to_thread(started.stop)


def _ask_password() -> str:
    """From a person: typed twice, unseen. From a pipe: one line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password (at least 12 characters): ")
    if getpass.getpass("Once more: ") != password:
        raise Refused("the two passwords differ; nothing was changed")
    return password


async def _create_admin(chosen: argparse.Namespace) -> str:
    from bot import administration
    from bot.store import migrate
    from bot.store.database import Database
    from bot.store.vault import Vault

    password = _ask_password()
    async with _database_address(settings.read()) as address:
        await migrate.upgrade(address)
        # An administrator's row holds nothing sealed.
        database = Database(address, Vault([bytes(32)]))
        try:
            async with database.transaction() as session:
                await administration.create_admin(session, login=chosen.login, name=chosen.name, password=password)
        except administration.Unacceptable as reason:
            raise Refused(str(reason)) from None
        finally:
            await database.close()
    return f"administrator {chosen.login} created; log in at /login"


async def _rotate(chosen: argparse.Namespace) -> str:
    from bot import rotation
    from bot.store.database import Database
    from bot.store.vault import Vault

    configured = settings.read()
    if configured.data_key is None or configured.data_key_previous is None:
        raise Refused("set DATA_KEY to the new key and DATA_KEY_PREVIOUS to the one in use, then run this again")
    new, old = configured.data_key.get_secret_value(), configured.data_key_previous.get_secret_value()
    async with _database_address(configured) as address:
        database = Database(address, Vault.of(new, old))
        try:
            moved = await rotation.rewrap(database, Vault.of(new))
            if not chosen.finish:
                return (
                    f"{moved} keys are now wrapped by DATA_KEY; keep DATA_KEY_PREVIOUS, stop the service and run "
                    "`python -m bot keys rotate --finish` before you remove it"
                )
            found = await rotation.finish(database, Vault.of(new))
        except rotation.CannotRotate as reason:
            raise Refused(str(reason)) from None
        finally:
            await database.close()
    return f"{moved} keys wrapped and {found} index entries made anew; remove DATA_KEY_PREVIOUS and start the service"


async def _new_migration(chosen: argparse.Namespace) -> str:
    from bot.store import migrate
    from bot.tables import metadata

    async with _database_address(settings.read()) as address:
        await migrate.upgrade(address)
        await migrate.propose(address, metadata, chosen.message)
    return "written below bot/store/migrations/versions; read it before you commit it"


async def _check_migrations(_chosen: argparse.Namespace) -> str:
    from alembic.util import CommandError

    from bot.store import migrate
    from bot.tables import metadata

    async with _database_address(settings.read()) as address:
        await migrate.upgrade(address)
        try:
            await migrate.check(address, metadata)
        except CommandError as difference:
            raise Refused(str(difference)) from None
    return "migrations and models agree"


async def _smoke(_chosen: argparse.Namespace) -> str:
    from bot.demo import smoke

    settings.read()
    if await smoke.run() != 0:
        raise Refused("the story did not play to its end")
    return "the story played to its end"


@asynccontextmanager
async def _demo_database() -> AsyncIterator[tuple["Database", str]]:
    """The demo's database and the official account's id its people belong to.

    Raises:
        Refused: this is not a demo.
    """
    from bot import keys
    from bot.store import demo_clock, migrate
    from bot.store.channel import Channel
    from bot.store.database import Database
    from bot.store.vault import Vault

    configured = settings.read()
    if not configured.demo:
        raise Refused("only a demo (ENV=demo) has a world that can be changed like this")
    secrets = keys.load(configured)
    async with _database_address(configured) as address:
        await migrate.upgrade(address)
        database, channel = Database(address, Vault.of(*secrets.data_keys)), Channel(address)
        try:
            await channel.open()
            await demo_clock.follow(database, channel)
            yield database, secrets.app_id
        finally:
            await channel.close()
            await database.close()


async def _demo_reset(_chosen: argparse.Namespace) -> str:
    from bot import demo

    async with _demo_database() as (database, app_id):
        await demo.reset(database, app_id=app_id)
    return "the demo's world is new"


async def _demo_person(chosen: argparse.Namespace) -> str:
    from bot.demo.situations import put_person

    async with _demo_database() as (database, app_id):
        await put_person(database, chosen.openid, setup=chosen.setup, today=chosen.now, app_id=app_id)
    return "ready"


async def _demo_clock(chosen: argparse.Namespace) -> str:
    from bot import clock
    from bot.store import demo_clock

    async with _demo_database() as (database, _):
        ahead = timedelta() if chosen.by == "reset" else clock.offset() + _span(chosen.by)
        await demo_clock.move(database, ahead.total_seconds())
        return f"{clock.local(clock.now()):%Y-%m-%d %H:%M}"


def _span(text: str) -> timedelta:
    units = {"d": "days", "h": "hours", "m": "minutes"}
    number = text[:-1].lstrip("+")
    if text[-1:] not in units or not number.lstrip("-").isdecimal():
        raise Refused("expected a span like +1d, +3h, +30m, or `reset`")
    return timedelta(**{units[text[-1]]: int(number)})


def parser() -> argparse.ArgumentParser:
    """All commands."""
    top = argparse.ArgumentParser(prog="python -m bot", description="ITP Companion")
    parts = top.add_subparsers(required=True, metavar="command")

    users = parts.add_parser("users", help="accounts of staff").add_subparsers(required=True, metavar="what")
    admin = users.add_parser("create-admin", help="the first administrator; asks for the password")
    admin.add_argument("login", help="the name to log in with")
    admin.add_argument("--name", default="管理员", help="the name colleagues read (default: 管理员)")
    admin.set_defaults(does=_create_admin)

    keys = parts.add_parser("keys", help="encryption at rest").add_subparsers(required=True, metavar="what")
    rotate = keys.add_parser("rotate", help="wrap all data keys by DATA_KEY instead of DATA_KEY_PREVIOUS")
    rotate.add_argument("--finish", action="store_true", help="with the service stopped: let go of DATA_KEY_PREVIOUS")
    rotate.set_defaults(does=_rotate)

    migrations = parts.add_parser("migrations", help="changes of the tables").add_subparsers(
        required=True, metavar="what"
    )
    new = migrations.add_parser("new", help="write a migration from what the models say")
    new.add_argument("message", help="what changes, in a few words")
    new.set_defaults(does=_new_migration)
    check = migrations.add_parser("check", help="whether migrations and models agree")
    check.set_defaults(does=_check_migrations)

    smoke = parts.add_parser("smoke", help="play the whole story once and print the transcript")
    smoke.set_defaults(does=_smoke)

    demo = parts.add_parser("demo", help="the demo's world").add_subparsers(required=True, metavar="what")
    reset = demo.add_parser("reset", help="make the world anew; everything in the demo's database is lost")
    reset.set_defaults(does=_demo_reset)
    person = demo.add_parser("person", help="register an account, agreed, in a stated situation")
    person.add_argument("openid", help="the WeChat id it will write with")
    person.add_argument("--setup", default="", help="the situation in words, e.g. 成人患者，已注册")
    person.add_argument("--now", type=date.fromisoformat, default=None, help="the day it is, YYYY-MM-DD")
    person.set_defaults(does=_demo_person)
    move = demo.add_parser("clock", help="move the demo's clock")
    move.add_argument("by", help="+1d, +3h, +30m, or `reset`")
    move.set_defaults(does=_demo_clock)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what stands in its way is said in one sentence on stderr."""
    chosen = parser().parse_args(arguments)
    try:
        said = asyncio.run(chosen.does(chosen))
    except (Refused, SettingsRefused) as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
