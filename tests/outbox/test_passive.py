"""Passive replies: the row that answers a message is carried by the request that brought it, or sent otherwise, once."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from outbox.conftest import Post

from bot import clock
from bot.outbox.passive import PassiveReplies, release_dead_claims
from bot.outbox.rows import State
from bot.outbox.sender import Result
from bot.store.channel import Channel


@pytest.fixture
async def replies(post: Post) -> AsyncIterator[PassiveReplies]:
    """The waiting of one app process, on its own connection: rows are written by another."""
    channel = Channel(post.database.address)
    await channel.open()
    replies = PassiveReplies(post.database, uuid.uuid4())
    await replies.follow(channel)
    yield replies
    await channel.close()


def soon(seconds: float = 4.0) -> dict[str, object]:
    return {"passive_until": clock.real_now() + timedelta(seconds=seconds)}


async def not_settled() -> bool:
    return False


async def test_a_reply_that_is_there_is_claimed_and_ends_as_sent_once_it_left(
    post: Post, replies: PassiveReplies
) -> None:
    message = uuid.uuid4()
    row_id = await post.owes(await post.account("o-lin"), "words", passive_for=message, **soon())
    reply = await replies.wait(message, until=clock.real_now(), settled=not_settled)
    assert reply is not None
    assert reply.text == "words"
    assert (await post.row(row_id)).state is State.PASSIVE_CLAIMED
    await reply.flushed()
    row = await post.row(row_id)
    assert row.state is State.SENT_PASSIVE
    assert row.sent_at is not None
    await post.ages(minutes=1)
    await release_dead_claims(post.database)
    await post.sends()
    assert post.outside.reached == []


async def test_a_request_hears_at_once_of_an_answer_that_another_process_wrote(
    post: Post, replies: PassiveReplies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.outbox.passive._RE_READ", 60.0)
    message, lin = uuid.uuid4(), await post.account("o-lin")
    waiting = asyncio.create_task(
        replies.wait(message, until=clock.real_now() + timedelta(seconds=30), settled=not_settled)
    )
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await post.owes(lin, "words", passive_for=message, **soon())
    async with asyncio.timeout(10):
        reply = await waiting
    assert reply is not None
    assert reply.text == "words"
    assert time.monotonic() - began < 10


async def test_a_lost_notification_costs_a_fifth_of_a_second_not_the_answer(post: Post) -> None:
    deaf = PassiveReplies(post.database, uuid.uuid4())
    message, lin = uuid.uuid4(), await post.account("o-lin")
    waiting = asyncio.create_task(
        deaf.wait(message, until=clock.real_now() + timedelta(seconds=10), settled=not_settled)
    )
    await asyncio.sleep(0.05)
    await post.owes(lin, "words", passive_for=message, **soon())
    async with asyncio.timeout(5):
        reply = await waiting
    assert reply is not None


async def test_nothing_is_waited_for_once_the_message_is_done_with(post: Post, replies: PassiveReplies) -> None:
    async def settled() -> bool:
        return True

    async with asyncio.timeout(2):
        until = clock.real_now() + timedelta(seconds=60)
        assert await replies.wait(uuid.uuid4(), until=until, settled=settled) is None


async def test_without_an_answer_in_time_the_request_goes_without(post: Post, replies: PassiveReplies) -> None:
    until = clock.real_now() + timedelta(seconds=0.1)
    assert await replies.wait(uuid.uuid4(), until=until, settled=not_settled) is None


async def test_a_retry_of_wechat_gets_the_stored_reply_again(post: Post, replies: PassiveReplies) -> None:
    message = uuid.uuid4()
    row_id = await post.owes(await post.account("o-lin"), "words", passive_for=message, **soon())
    first = await replies.claim(message)
    assert first is not None
    before_flush = await replies.claim(message)
    assert before_flush is not None
    assert before_flush.text == "words"
    await first.flushed()
    after = await replies.claim(message)
    assert after is not None
    assert after.text == "words"
    await after.flushed()
    assert (await post.row(row_id)).state is State.SENT_PASSIVE


async def test_a_claim_whose_process_died_becomes_an_active_message_sent_once(
    post: Post, replies: PassiveReplies
) -> None:
    message = uuid.uuid4()
    row_id = await post.owes(await post.account("o-lin"), "words", passive_for=message, **soon())
    assert await replies.claim(message) is not None
    assert await release_dead_claims(post.database) == 0, "a young claim may be a living process's"
    await post.ages(minutes=1)
    assert await release_dead_claims(post.database) == 1
    await post.sends()
    assert post.outside.texts() == ["words"]
    assert (await post.row(row_id)).state is State.SENT_ACTIVE
    assert await replies.claim(message) is None, "a late retry is not answered a second time"


async def test_a_flush_that_comes_after_its_claim_was_given_up_changes_nothing(
    post: Post, replies: PassiveReplies
) -> None:
    message = uuid.uuid4()
    row_id = await post.owes(await post.account("o-lin"), "words", passive_for=message, **soon())
    reply = await replies.claim(message)
    assert reply is not None
    await post.ages(minutes=1)
    await release_dead_claims(post.database)
    await post.sends()
    await reply.flushed()
    assert (await post.row(row_id)).state is State.SENT_ACTIVE


async def test_a_row_is_either_carried_or_sent_whoever_is_quicker(post: Post, replies: PassiveReplies) -> None:
    for number in range(10):
        # Each has all its active messages left: none is parked for want of them.
        lin = await post.account(f"o-lin-{number}")
        message = uuid.uuid4()
        row_id = await post.owes(lin, f"{number}", passive_for=message, **soon(seconds=0))
        claimed, _ = await asyncio.gather(replies.claim(message), post.sender.send_due())
        sent = f"{number}" in post.outside.texts()
        assert (claimed is not None) != sent
        if claimed is not None:
            await claimed.flushed()
        assert (await post.row(row_id)).state is (State.SENT_ACTIVE if sent else State.SENT_PASSIVE)


async def test_a_reply_waits_for_the_one_before_it(post: Post, replies: PassiveReplies) -> None:
    first, second, lin = uuid.uuid4(), uuid.uuid4(), await post.account("o-lin")
    await post.owes(lin, "first", passive_for=first, **soon())
    await post.owes(lin, "second", passive_for=second, **soon())
    assert await replies.claim(second) is None
    reply = await replies.claim(first)
    assert reply is not None
    assert await replies.claim(second) is None, "the first is claimed, not yet flushed"
    await reply.flushed()
    assert await replies.claim(second) is not None


async def test_a_request_whose_reply_waits_for_another_waits_though_its_message_is_done_with(
    post: Post, replies: PassiveReplies
) -> None:
    async def settled() -> bool:
        return True

    first, second, lin = uuid.uuid4(), uuid.uuid4(), await post.account("o-lin")
    await post.owes(lin, "first", passive_for=first, **soon())
    await post.owes(lin, "second", passive_for=second, **soon())
    until = clock.real_now() + timedelta(seconds=10)
    waiting = asyncio.create_task(replies.wait(second, until=until, settled=settled))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    reply = await replies.claim(first)
    assert reply is not None
    await reply.flushed()
    async with asyncio.timeout(5):
        carried = await waiting
    assert carried is not None
    assert carried.text == "second"


async def test_a_reply_does_not_wait_for_a_row_that_wechat_does_not_take_now(
    post: Post, replies: PassiveReplies
) -> None:
    """A reply in the open request still works when active messages do not."""
    message, lin = uuid.uuid4(), await post.account("o-lin")
    await post.owes(lin, "notice")
    post.outside.answers.append(Result.MISCONFIGURED)
    await post.sends()
    await post.owes(lin, "answer", passive_for=message, **soon())
    reply = await replies.claim(message)
    assert reply is not None
    assert reply.text == "answer"


async def test_the_advice_of_an_emergency_waits_for_nothing(post: Post, replies: PassiveReplies) -> None:
    first, second, lin = uuid.uuid4(), uuid.uuid4(), await post.account("o-lin")
    await post.owes(lin, "first", passive_for=first, **soon())
    await post.owes(lin, "call 120", passive_for=second, urgent=True, **soon())
    advice = await replies.claim(second)
    assert advice is not None
    assert advice.text == "call 120"


async def test_a_message_with_advice_and_an_answer_is_replied_to_with_the_advice(
    post: Post, replies: PassiveReplies
) -> None:
    message, lin = uuid.uuid4(), await post.account("o-lin")
    await post.owes(lin, "kept", passive_for=message, **soon())
    await post.owes(lin, "call 120", passive_for=message, urgent=True, **soon())
    reply = await replies.claim(message)
    assert reply is not None
    assert reply.text == "call 120"
