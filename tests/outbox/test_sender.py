"""Sending: in order for each receiver, never twice, and every row in a named state in the end."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from outbox.conftest import Post
from sqlalchemy import update

from bot import clock
from bot.outbox.rows import Kind, Outbox, State, owe, supersede, unpark
from bot.outbox.sender import MAX_ATTEMPTS, Result, Sender
from bot.store.accounts import Account

DAYS_AGO = timedelta(days=3)


async def test_what_is_owed_is_sent_in_the_order_it_was_owed(post: Post) -> None:
    lin = await post.account("o-lin")
    for words in ("eins", "zwei", "drei"):
        await post.owes(lin, words)
    await post.sends()
    assert post.outside.texts() == ["eins", "zwei", "drei"]
    assert await post.states() == [State.SENT_ACTIVE] * 3


async def test_two_senders_send_everything_once_and_in_order(post: Post) -> None:
    accounts = [await post.account(f"o-{number}") for number in range(4)]
    for number in range(3):
        for account in accounts:
            await post.owes(account, f"{account.id} {number}")
    other = Sender(post.database, post.outside, uuid.uuid4())
    for _ in range(12):
        await asyncio.gather(post.sender.send_due(), other.send_due())
    for account in accounts:
        assert [w for w in post.outside.texts() if str(account.id) in w] == [f"{account.id} {n}" for n in range(3)]
    assert set(await post.states()) == {State.SENT_ACTIVE}


async def test_what_is_urgent_overtakes_and_keeps_its_own_order(post: Post) -> None:
    lin = await post.account("o-lin")
    await post.owes(lin, "answer")
    await post.owes(lin, "call 120", Kind.ADVICE, urgent=True)
    await post.owes(lin, "call now", Kind.ADVICE, urgent=True)

    async def takes_a_moment() -> None:
        await asyncio.sleep(0.02 if len(post.outside.reached) == 1 else 0)

    post.outside.during = takes_a_moment
    await post.sends()
    assert post.outside.texts() == ["call 120", "call now", "answer"]


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Result.SENT, State.SENT_ACTIVE, None),
        (Result.MAYBE, State.MAYBE_SENT, "no_answer"),
        (Result.WINDOW_CLOSED, State.PARKED, "window_closed"),
        (Result.UNREACHABLE, State.FAILED, "unreachable"),
        (Result.REFUSED, State.FAILED, "refused"),
        (Result.LATER, State.PENDING, "later"),
        (Result.MISCONFIGURED, State.PENDING, "misconfigured"),
    ],
)
async def test_every_answer_of_wechat_has_its_state(post: Post, answer: Result, state: State, reason: str) -> None:
    row_id = await post.owes(await post.account("o-lin"), "words")
    post.outside.answers.append(answer)
    await post.sender.send_due()
    row = await post.row(row_id)
    assert (row.state, row.reason) == (state, reason)
    assert (row.sent_at is not None) == (state in (State.SENT_ACTIVE, State.MAYBE_SENT))


async def test_what_may_have_been_sent_is_never_sent_again(post: Post) -> None:
    await post.owes(await post.account("o-lin"), "words")
    post.outside.answers.append(Result.MAYBE)
    await post.sends()
    await post.ages(hours=1)
    await post.sender.recover()
    await post.sends()
    assert post.outside.texts() == ["words"]


async def test_a_failing_transport_leaves_a_doubt_and_no_repetition(post: Post) -> None:
    row_id = await post.owes(await post.account("o-lin"), "words")

    async def breaks() -> None:
        raise OSError("connection reset")

    post.outside.during = breaks
    await post.sends()
    await post.sends()
    row = await post.row(row_id)
    assert (row.state, row.reason, len(post.outside.reached)) == (State.MAYBE_SENT, "OSError", 1)


async def test_an_alert_is_tried_again_when_the_transport_breaks(post: Post) -> None:
    post.outside.templates = {Kind.ALERT}
    rows = [
        await post.owes(await post.account("o-zhou"), "alert", Kind.ALERT, urgent=True),
        await post.owes(None, "by phone", Kind.GATEWAY, urgent=True),
    ]

    async def breaks() -> None:
        raise OSError("connection reset")

    post.outside.during = breaks
    await post.sends()
    post.outside.during = None
    await post.ages(minutes=1)
    await post.sends()
    assert [(await post.row(row)).state for row in rows] == [State.SENT_TEMPLATE, State.SENT_ACTIVE]


async def test_what_nobody_can_read_any_more_fails_and_holds_up_nobody(post: Post) -> None:
    gone, lin = await post.account("o-gone"), await post.account("o-lin")
    row_id = await post.owes(gone, "words")
    await post.owes(lin, "for lin")
    async with post.database.transaction() as session:
        (await session.get_one(Account, gone.id)).wrapped_key = bytes(60)
    await post.sends()
    row = await post.row(row_id)
    assert (row.state, row.reason, post.outside.texts()) == (State.FAILED, "unreadable", ["for lin"])


async def test_what_is_to_be_tried_later_is_tried_ever_more_rarely_and_then_fails(post: Post) -> None:
    row_id = await post.owes(await post.account("o-lin"), "words")
    post.outside.answers.extend([Result.LATER] * (MAX_ATTEMPTS + 1))
    pauses = []
    while (row := await post.row(row_id)).state is State.PENDING:
        await post.sends()
        row = await post.row(row_id)
        if row.state is State.PENDING and row.not_before is not None:
            pauses.append(round((row.not_before - clock.real_now()).total_seconds()))
        await post.sends()
        await post.ages(minutes=2)
    assert (row.state, row.attempts, len(post.outside.reached)) == (State.FAILED, MAX_ATTEMPTS, MAX_ATTEMPTS)
    assert pauses == sorted(pauses)
    assert pauses[0] <= 2
    assert pauses[-1] == 60


async def test_nothing_overtakes_a_row_that_waits_for_its_next_try(post: Post) -> None:
    lin = await post.account("o-lin")
    await post.owes(lin, "first")
    await post.owes(lin, "second")
    post.outside.answers.append(Result.LATER)
    await post.sends()
    assert post.outside.texts() == ["first"]
    await post.ages(minutes=1)
    await post.sends()
    assert post.outside.texts() == ["first", "first", "second"]


async def test_a_receiver_who_waits_holds_up_nobody_else(post: Post) -> None:
    lin, other = await post.account("o-lin"), await post.account("o-other")
    await post.owes(lin, "for lin")
    post.outside.answers.append(Result.LATER)
    await post.sends()
    await post.owes(other, "for the other")
    await post.sends()
    assert post.outside.texts() == ["for lin", "for the other"]


async def test_nothing_overtakes_a_passive_reply_that_is_on_its_way(post: Post) -> None:
    lin = await post.account("o-lin")
    first = await post.owes(lin, "first")
    await post.owes(lin, "second")
    async with post.database.connection() as connection:
        claimed = {"state": State.PASSIVE_CLAIMED, "claimed_at": clock.real_now()}
        await connection.execute(update(Outbox).where(Outbox.id == first).values(**claimed))
    await post.sends()
    assert post.outside.texts() == []
    async with post.database.connection() as connection:
        await connection.execute(update(Outbox).where(Outbox.id == first).values(state=State.SENT_PASSIVE))
    await post.sends()
    assert post.outside.texts() == ["second"]


async def test_a_row_that_an_open_request_may_carry_is_left_to_it_for_its_time(post: Post) -> None:
    lin = await post.account("o-lin")
    soon = clock.real_now() + timedelta(seconds=4)
    await post.owes(lin, "passive", passive_for=uuid.uuid4(), passive_until=soon)
    await post.sends()
    assert post.outside.texts() == []
    await post.ages(seconds=5)
    await post.sends()
    assert post.outside.texts() == ["passive"]


async def test_outside_the_window_a_doctors_answer_becomes_a_template(post: Post) -> None:
    row_id = await post.owes(await post.account("o-lin", wrote=DAYS_AGO), "answer", Kind.DOCTOR_ANSWER)
    post.outside.templates = {Kind.DOCTOR_ANSWER}
    await post.sends()
    row = await post.row(row_id)
    assert post.outside.reached == [("template", "o-lin", str(row_id))]
    assert (row.state, row.template_msg_id) == (State.SENT_TEMPLATE, f"id-{row_id}")


async def test_outside_the_window_without_a_template_a_row_is_parked_until_the_patient_writes(post: Post) -> None:
    lin = await post.account("o-lin", wrote=DAYS_AGO)
    row_id = await post.owes(lin, "answer", Kind.DOCTOR_ANSWER)
    await post.sends()
    row = await post.row(row_id)
    assert (row.state, row.reason, post.outside.reached) == (State.PARKED, "window_closed", [])

    await post.account("o-lin")
    async with post.database.transaction() as session:
        await unpark(session, lin.id)
    await post.sends()
    assert post.outside.texts() == ["answer"]
    assert (await post.row(row_id)).state is State.SENT_ACTIVE


async def test_a_window_that_closed_on_the_way_is_answered_by_the_template(post: Post) -> None:
    await post.owes(await post.account("o-lin"), "answer", Kind.DOCTOR_ANSWER)
    post.outside.templates = {Kind.DOCTOR_ANSWER}
    post.outside.answers.append(Result.WINDOW_CLOSED)
    await post.sends()
    assert [way for way, _, _ in post.outside.reached] == ["text", "template"]
    assert await post.states() == [State.SENT_TEMPLATE]


async def test_the_assistant_leaves_the_doctor_two_of_the_five_messages(post: Post) -> None:
    lin = await post.account("o-lin")
    for number in range(5):
        await post.owes(lin, f"assistant {number}")
    await post.sends()
    assert post.outside.texts() == ["assistant 0", "assistant 1", "assistant 2"]
    for number in range(3):
        await post.owes(lin, f"doctor {number}", Kind.DOCTOR_ANSWER)
    await post.sends()
    assert post.outside.texts()[3:] == ["doctor 0", "doctor 1"]
    assert (await post.states()).count(State.PARKED) == 3


async def test_a_doubtful_message_counts_against_the_window(post: Post) -> None:
    lin = await post.account("o-lin")
    post.outside.answers.append(Result.MAYBE)
    for number in range(4):
        await post.owes(lin, f"{number}")
    await post.sends()
    assert post.outside.texts() == ["0", "1", "2"]


async def test_alerts_go_by_template_first_and_by_text_where_there_is_none(post: Post) -> None:
    zhou = await post.account("o-zhou")
    post.outside.templates = {Kind.ALERT}
    await post.owes(zhou, "alert", Kind.ALERT, urgent=True)
    await post.sends()
    post.outside.templates = set()
    await post.owes(zhou, "another", Kind.ALERT, urgent=True)
    await post.sends()
    assert [way for way, _, _ in post.outside.reached] == ["template", "text"]


async def test_an_alert_for_nobodys_phone_goes_through_the_gateway_until_it_takes_it(post: Post) -> None:
    row_id = await post.owes(None, "alert", Kind.GATEWAY, urgent=True)
    post.outside.answers.append(Result.LATER)
    await post.sends()
    await post.ages(minutes=1)
    await post.sends()
    assert post.outside.reached == [("gateway", "", str(row_id))] * 2
    assert (await post.row(row_id)).state is State.SENT_ACTIVE


async def test_a_claim_whose_process_died_while_sending_a_text_is_a_doubt(post: Post) -> None:
    row_id = await post.owes(await post.account("o-lin"), "words")
    await dies_while_sending(post)
    assert (await post.row(row_id)).state is State.SENDING
    await post.sender.recover()
    assert (await post.row(row_id)).state is State.SENDING, "a claim that is young may be a living process's"
    await post.ages(minutes=1)
    await post.sender.recover()
    row = await post.row(row_id)
    assert (row.state, row.reason) == (State.MAYBE_SENT, "process_died")
    assert row.sent_at is not None, "it counts against the window"
    await post.sends()
    assert post.outside.texts() == ["words"]


async def test_a_claim_whose_process_died_while_sending_what_may_be_repeated_is_repeated(post: Post) -> None:
    post.outside.templates = {Kind.ALERT}
    zhou = await post.account("o-zhou")
    alert = await post.owes(zhou, "alert", Kind.ALERT, urgent=True)
    gateway = await post.owes(None, "by phone", Kind.GATEWAY, urgent=True)
    await dies_while_sending(post)
    await post.ages(minutes=1)
    await post.sender.recover()
    await post.sends()
    assert [(await post.row(row)).state for row in (alert, gateway)] == [State.SENT_TEMPLATE, State.SENT_ACTIVE]
    assert sorted(what for _, _, what in post.outside.reached) == sorted([str(alert), str(gateway)] * 2)


async def test_an_alert_that_went_as_a_text_is_not_repeated_though_alerts_have_a_template(post: Post) -> None:
    """The template was refused and the text was under way when the process died: that text may stand on the phone."""
    post.outside.templates = {Kind.ALERT}
    post.outside.answers.append(Result.REFUSED)
    alert = await post.owes(await post.account("o-zhou"), "alert", Kind.ALERT, urgent=True)
    await dies_while_sending(post, calls=2)
    await post.ages(minutes=1)
    await post.sender.recover()
    await post.sends()
    assert post.outside.texts() == ["alert"]
    assert (await post.row(alert)).state is State.MAYBE_SENT


async def test_what_is_no_longer_needed_is_superseded_and_not_sent(post: Post) -> None:
    row_id = await post.owes(await post.account("o-lin"), "kept")
    async with post.database.transaction() as session:
        await supersede(session, "kept")
    await post.sends()
    assert ((await post.row(row_id)).state, post.outside.reached) == (State.SUPERSEDED, [])


async def test_what_left_is_not_superseded(post: Post) -> None:
    row_id = await post.owes(await post.account("o-lin"), "kept")
    await post.sends()
    async with post.database.transaction() as session:
        await supersede(session, "kept")
    assert (await post.row(row_id)).state is State.SENT_ACTIVE


async def test_somebody_who_cannot_be_reached_is_marked_and_asked_nothing_more(post: Post) -> None:
    lin = await post.account("o-lin")
    post.outside.answers.append(Result.UNREACHABLE)
    await post.owes(lin, "words")
    await post.sends()
    async with post.database.reading() as session:
        marked = await session.get_one(Account, lin.id)
        assert marked.unreachable_since is not None
        assert not await post.sender.may_write(session, marked)


async def test_to_somebody_who_left_nothing_is_sent(post: Post) -> None:
    lin = await post.account("o-lin")
    row_id = await post.owes(lin, "words")
    async with post.database.transaction() as session:
        (await session.get_one(Account, lin.id)).following = False
    await post.sends()
    row = await post.row(row_id)
    assert (row.state, row.reason, post.outside.reached) == (State.FAILED, "not_following", [])


async def test_the_assistant_may_write_while_the_window_is_open_and_keeps_the_doctors_share(post: Post) -> None:
    lin = await post.account("o-lin")
    for number in range(3):
        async with post.database.reading() as session:
            assert await post.sender.may_write(session, lin)
        await post.owes(lin, f"{number}")
        await post.sends()
    async with post.database.reading() as session:
        assert not await post.sender.may_write(session, lin)


async def test_the_same_cause_owes_once(post: Post) -> None:
    lin = await post.account("o-lin")
    await post.owes(lin, "once")
    async with post.database.transaction() as session:
        from bot.outbox.rows import Content

        assert await owe(session, lin, Kind.ANSWER, Content("other words"), cause="once") is None
    await post.sends()
    assert post.outside.texts() == ["once"]


async def test_the_sender_wakes_at_once_when_something_is_owed(post: Post) -> None:
    lin = await post.account("o-lin")
    running = asyncio.create_task(post.sender.run(every=60))
    try:
        await asyncio.sleep(0.05)
        await post.owes(lin, "words")
        post.sender.wake()
        async with asyncio.timeout(5):
            while post.outside.texts() != ["words"]:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()


async def test_stopping_finishes_what_is_on_its_way_and_claims_no_more(post: Post) -> None:
    first = await post.owes(await post.account("o-lin"), "first")
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def takes_its_time() -> None:
        under_way.set()
        await go_on.wait()

    post.outside.during = takes_its_time
    running = asyncio.create_task(post.sender.run())
    async with asyncio.timeout(5):
        await under_way.wait()
    second = await post.owes(await post.account("o-other"), "second")
    finishing = asyncio.create_task(post.sender.finish())
    await asyncio.sleep(0.05)
    assert not finishing.done()
    go_on.set()
    async with asyncio.timeout(5):
        await asyncio.gather(finishing, running)
    assert [(await post.row(row)).state for row in (first, second)] == [State.SENT_ACTIVE, State.PENDING]


async def test_a_call_that_hangs_holds_up_nobody_else_an_emergency_least_of_all(post: Post) -> None:
    slow, other, doctor = [await post.account(name) for name in ("o-slow", "o-other", "o-doctor")]
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def hangs_for_the_first() -> None:
        if not under_way.is_set():
            under_way.set()
            await go_on.wait()

    post.outside.during = hangs_for_the_first
    await post.owes(slow, "slow")
    running = asyncio.create_task(post.sender.run())
    async with asyncio.timeout(5):
        await under_way.wait()
        await post.owes(other, "other")
        await post.owes(doctor, "alarm", Kind.ADVICE, urgent=True)
        await post.owes(slow, "slow again")
        await post.owes(slow, "slow and urgent", Kind.ADVICE, urgent=True)
        post.sender.wake()
        while len(post.outside.texts()) < 4:
            await asyncio.sleep(0.01)
    assert post.outside.texts()[0] == "slow"
    assert set(post.outside.texts()[1:]) == {"other", "alarm", "slow and urgent"}
    go_on.set()
    async with asyncio.timeout(5):
        while "slow again" not in post.outside.texts():
            await asyncio.sleep(0.01)
    await post.sender.finish()
    await running
    assert set(await post.states()) == {State.SENT_ACTIVE}


async def test_two_emergencies_of_one_receiver_keep_their_order_though_the_first_hangs(post: Post) -> None:
    lin = await post.account("o-lin")
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        under_way.set()
        await go_on.wait()

    post.outside.during = hangs
    await post.owes(lin, "first", Kind.ADVICE, urgent=True)
    running = asyncio.create_task(post.sender.run())
    async with asyncio.timeout(5):
        await under_way.wait()
    await post.owes(lin, "second", Kind.ADVICE, urgent=True)
    post.sender.wake()
    await asyncio.sleep(0.1)
    assert post.outside.texts() == ["first"]
    go_on.set()
    async with asyncio.timeout(5):
        while len(post.outside.texts()) < 2:
            await asyncio.sleep(0.01)
    await post.sender.finish()
    await running
    assert post.outside.texts() == ["first", "second"]


async def dies_while_sending(post: Post, *, calls: int = 1) -> None:
    """The sender's process ends in the middle of its `calls`-th call outside (of each receiver)."""
    forever = asyncio.Event()
    due = 1

    async def power_cut() -> None:
        if len(post.outside.reached) >= calls:
            await forever.wait()

    post.outside.during = power_cut
    working = asyncio.create_task(post.sender.send_due())
    async with asyncio.timeout(5):
        while len(post.outside.reached) < max(calls, due):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    post.outside.during = None
