"""Photos, voice and files: sealed under the account's key, counted, and what could not be had is said."""

from datetime import timedelta

import pytest
from care.ward import Ward
from sqlalchemy.ext.asyncio import AsyncSession

from bot import clock
from bot.care import attachments
from bot.store.base import new_id
from bot.store.database import vault_of
from bot.store.vault import Unreadable

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 4


async def test_a_file_is_sealed_and_opens_again(ward: Ward, session: AsyncSession) -> None:
    account, message_id = await ward.account(), new_id()
    kept = attachments.keep(
        session, account, message_id=message_id, kind="image", data=PHOTO, content_type="image/jpeg"
    )
    await session.flush()
    assert kept.data_sealed is not None
    assert PHOTO[:40] not in kept.data_sealed
    assert kept.size == len(PHOTO)
    found = await attachments.of_message(session, message_id)
    assert found is kept
    assert await attachments.data_of(session, kept) == PHOTO


async def test_a_file_opens_under_its_own_accounts_key_only(ward: Ward, session: AsyncSession) -> None:
    account, other = await ward.account(), await ward.account()
    kept = attachments.keep(session, account, message_id=new_id(), kind="image", data=PHOTO, content_type=None)
    assert kept.data_sealed is not None
    with pytest.raises(Unreadable):
        other.key(vault_of(session)).unseal_bytes(kept.data_sealed, "attachment", "data", kept.id)


async def test_what_could_not_be_had_is_kept_as_a_fact(ward: Ward, session: AsyncSession) -> None:
    account = await ward.account()
    kept = attachments.keep(
        session, account, message_id=new_id(), kind="voice", data=None, content_type=None, failed="MediaGone"
    )
    await session.flush()
    assert (kept.failed, kept.size) == ("MediaGone", None)
    assert await attachments.data_of(session, kept) is None


async def test_a_days_bytes_are_counted_for_each_account(ward: Ward, session: AsyncSession) -> None:
    account, other = await ward.account(), await ward.account()
    since = clock.now() - timedelta(days=1)
    assert await attachments.bytes_since(session, account.id, since) == 0
    for size, whose in ((10, account), (20, account), (40, other)):
        attachments.keep(session, whose, message_id=new_id(), kind="image", data=bytes(size), content_type=None)
    old = attachments.keep(session, account, message_id=new_id(), kind="image", data=bytes(80), content_type=None)
    old.at = since - timedelta(minutes=1)
    await session.flush()
    assert await attachments.bytes_since(session, account.id, since) == 30


async def test_a_message_without_a_file_has_none(session: AsyncSession) -> None:
    assert await attachments.of_message(session, new_id()) is None
