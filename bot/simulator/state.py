"""Phones and history across restarts: one JSON file, written aside and moved into place; pictures and voices beside it."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.simulator.config import Role
from bot.simulator.history import Message
from bot.simulator.things import Media, Ticket
from bot.simulator.windows import Cause, Grant

if TYPE_CHECKING:
    from bot.simulator.world import World


def save(world: World, path: Path) -> None:
    """Write everything that a restart must not forget."""
    kept = {
        "offset_seconds": world.clock.offset_seconds,
        "menu": world.menu,
        "last_message_id": world.last_message_id,
        "service_accounts": world.service_accounts,
        "client_msg_ids": {k: [i, at.isoformat()] for k, (i, at) in world.client_msg_ids.items()},
        "mass_sends": [at.isoformat() for at in world.mass_sends],
        "mass_ids": world.mass_ids,
        "alerts": world.alerts,
        "tickets": [[t.ticket, t.scene, t.code, _written(t.ends)] for t in world.tickets.values()],
        "media": {k: [m.kind, m.ends.isoformat()] for k, m in world.media.items()},
        "phones": [p.as_json() | {"cookies": p.browser.cookies} for p in world.phones.values()],
    }
    _keep_files(world, _folder(path))
    aside = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(kept, file, ensure_ascii=False)
    aside.replace(path)


def load(world: World, path: Path) -> bool:
    """Read the file into the world; `False` when there is none.

    Raises:
        ValueError: the file is not what `save` writes; it is left as it is.
    """
    if not path.exists():
        return False
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        world.clock.offset_seconds = kept["offset_seconds"]
        world.menu, world.last_message_id = kept["menu"], kept["last_message_id"]
        world.service_accounts |= kept["service_accounts"]
        world.client_msg_ids = {k: (i, datetime.fromisoformat(at)) for k, (i, at) in kept["client_msg_ids"].items()}
        world.mass_sends = [datetime.fromisoformat(at) for at in kept["mass_sends"]]
        world.mass_ids, world.alerts = kept["mass_ids"], kept["alerts"]
        world.tickets = {t[0]: Ticket(t[0], t[1], t[2], _read(t[3])) for t in kept["tickets"]}
        folder = _folder(path)
        world.media = {
            k: Media(kind, (folder / k).read_bytes(), datetime.fromisoformat(ends))
            for k, (kind, ends) in kept["media"].items()
        }
        world.phones = {}
        for stored in kept["phones"]:
            _phone(world, stored)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, FileNotFoundError) as error:
        raise ValueError(f"{path} is not a state file of the simulator ({error!r}): move it away") from None
    world.add_people(world.config.people)
    return True


def _folder(path: Path) -> Path:
    return path.with_name(f"{path.name}.media")


def _keep_files(world: World, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    there = {file.name for file in folder.iterdir()}
    for media_id in world.media.keys() - there:
        (folder / media_id).write_bytes(world.media[media_id].data)
    for gone in there - world.media.keys():
        (folder / gone).unlink()


def _phone(world: World, stored: dict[str, Any]) -> None:
    phone = world.add_phone(stored["name"], Role(stored["role"]), openid=stored["openid"])
    phone.follows_account, phone.scene = stored["follows"], stored["scene"]
    phone.followed_at = _read(stored["followed_at"])
    phone.refuses_messages = stored["refuses_messages"]
    phone.notices, phone.mass_received = stored["notices"], stored["mass_received"]
    phone.browser.cookies = stored["cookies"]
    phone.history = [Message.from_json(m) for m in stored["history"]]
    phone.window.grants = {
        Cause(c): Grant(until=datetime.fromisoformat(g["until"]), left=g["left"]) for c, g in stored["grants"].items()
    }


def _written(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _read(at: str | None) -> datetime | None:
    return datetime.fromisoformat(at) if at else None
