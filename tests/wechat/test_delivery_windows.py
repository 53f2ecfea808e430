"""Section 3: when the account may speak first, and how often; two of five are the doctor's."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.wechat.messages import Inbound, Kind
from bot.wechat.windows import Grant, allowance, grant_of

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
WROTE = Grant(NOW, 5, 48 * HOUR)
TAPPED = Grant(NOW, 3, MINUTE)


def inbound(kind: Kind = "event", event: str = "", menu_id: str = "") -> Inbound:
    return Inbound("o1", "gh", kind, NOW - HOUR, "1", event=event, menu_id=menu_id)


@pytest.mark.parametrize("kind", ["text", "image", "voice", "video", "shortvideo", "location", "link", "file"])
def test_a_message_of_their_own_allows_five_within_48_hours(kind: Kind) -> None:
    assert grant_of(inbound(kind), at=NOW) == WROTE


@pytest.mark.parametrize(
    "event", ["click", "scancode_push", "scancode_waitmsg", "subscribe", "scan", "user_pay_from_pay_cell"]
)
def test_a_tap_a_follow_a_scan_and_a_payment_allow_three_within_a_minute(event: str) -> None:
    assert grant_of(inbound(event=event), at=NOW) == TAPPED


def test_a_tap_on_an_in_message_menu_counts_as_a_menu_tap() -> None:
    assert grant_of(inbound("text", menu_id="urgent"), at=NOW) == TAPPED


@pytest.mark.parametrize(
    "event", ["view", "unsubscribe", "location", "templatesendjobfinish", "pic_weixin", "brand_new", ""]
)
def test_other_events_allow_nothing(event: str) -> None:
    assert grant_of(inbound(event=event), at=NOW) is None


def test_an_unknown_message_allows_nothing() -> None:
    assert grant_of(inbound("unknown"), at=NOW) is None


def test_nobody_who_never_did_anything_may_be_written_to() -> None:
    assert allowance([], [], NOW, by_doctor=True) == allowance([], [], NOW, by_doctor=False) == 0


@pytest.mark.parametrize(
    ("later", "doctor", "assistant"), [(0 * SECOND, 5, 3), (48 * HOUR - SECOND, 5, 3), (48 * HOUR, 0, 0)]
)
def test_the_window_of_a_message_ends_after_48_hours(later: timedelta, doctor: int, assistant: int) -> None:
    assert allowance([WROTE], [], NOW + later, by_doctor=True) == doctor
    assert allowance([WROTE], [], NOW + later, by_doctor=False) == assistant


@pytest.mark.parametrize(("later", "left"), [(0 * SECOND, 3), (59 * SECOND, 3), (MINUTE, 0), (-SECOND, 0)])
def test_the_window_of_a_tap_ends_after_a_minute(later: timedelta, left: int) -> None:
    assert allowance([TAPPED], [], NOW + later, by_doctor=True) == left
    assert allowance([TAPPED], [], NOW + later, by_doctor=False) == left


def test_two_of_five_are_the_doctors() -> None:
    used = [NOW + MINUTE * n for n in (1, 2, 3)]
    assert allowance([WROTE], used, NOW + HOUR, by_doctor=False) == 0
    assert allowance([WROTE], used, NOW + HOUR, by_doctor=True) == 2
    assert allowance([WROTE], [*used, NOW + HOUR, NOW + HOUR], NOW + HOUR, by_doctor=True) == 0
    assert allowance([WROTE], used, NOW + HOUR, reserve_for_doctor=0, by_doctor=False) == 2


def test_a_new_message_renews_and_does_not_add_up() -> None:
    again = Grant(NOW + HOUR, 5, 48 * HOUR)
    used = [NOW + MINUTE] * 3
    assert allowance([WROTE, again], used, NOW + HOUR, by_doctor=True) == 5
    assert allowance([WROTE, again], [], NOW + HOUR, by_doctor=True) == 5


def test_what_was_sent_before_a_message_does_not_count_against_it() -> None:
    assert allowance([WROTE], [NOW - SECOND] * 9, NOW, by_doctor=True) == 5
    assert allowance([WROTE], [NOW] * 2, NOW, by_doctor=True) == 3


def test_a_tap_gives_the_doctor_three_when_the_five_are_used() -> None:
    tap = Grant(NOW + HOUR, 3, MINUTE)
    used = [NOW + MINUTE] * 5
    assert allowance([WROTE, tap], used, NOW + HOUR, by_doctor=True) == 3
    assert allowance([WROTE, tap], used, NOW + HOUR + MINUTE, by_doctor=True) == 0


def test_the_assistant_does_not_spend_the_doctors_share_under_cover_of_a_tap() -> None:
    tap = Grant(NOW + HOUR, 3, MINUTE)
    assert allowance([WROTE, tap], [NOW + MINUTE] * 3, NOW + HOUR, by_doctor=False) == 0


moments = st.integers(0, 60 * 60 * 24 * 4).map(lambda seconds: NOW + timedelta(seconds=seconds))
grants = st.builds(lambda at, wrote: Grant(at, 5, 48 * HOUR) if wrote else Grant(at, 3, MINUTE), moments, st.booleans())


@given(st.lists(grants, max_size=8), st.lists(moments, max_size=12), moments, st.integers(0, 5))
def test_the_allowance_is_never_more_than_a_grant_and_the_assistants_never_more_than_the_doctors(
    given_grants: list[Grant], used: list[datetime], now: datetime, reserve: int
) -> None:
    doctor = allowance(given_grants, used, now, by_doctor=True)
    assistant = allowance(given_grants, used, now, reserve_for_doctor=reserve, by_doctor=False)
    assert 0 <= assistant <= doctor <= 5
    if not any(grant.at <= now < grant.until for grant in given_grants):
        assert doctor == 0


@given(st.lists(grants, max_size=8), st.lists(moments, max_size=12), moments, moments)
def test_one_more_message_sent_never_allows_more(
    given_grants: list[Grant], used: list[datetime], sent: datetime, now: datetime
) -> None:
    for by_doctor in (True, False):
        before = allowance(given_grants, used, now, by_doctor=by_doctor)
        after = allowance(given_grants, [*used, sent], now, by_doctor=by_doctor)
        assert before - 1 <= after <= before


@given(st.lists(st.tuples(st.integers(0, 3 * 60), st.sampled_from(["text", "tap", "send"])), max_size=40))
def test_however_much_the_assistant_says_the_doctor_keeps_two_of_every_window(steps: list[tuple[int, str]]) -> None:
    now = NOW
    given_grants: list[Grant] = []
    used: list[datetime] = []
    for minutes, step in steps:
        now += timedelta(minutes=minutes)
        if step == "text":
            given_grants.append(Grant(now, 5, 48 * HOUR))
        elif step == "tap":
            given_grants.append(Grant(now, 3, MINUTE))
        elif allowance(given_grants, used, now, by_doctor=False):
            used.append(now)
        written = [grant for grant in given_grants if grant.by_message and now < grant.until]
        if written:
            assert allowance(given_grants, used, now, by_doctor=True) >= 2
            assert sum(moment >= written[-1].at for moment in used) <= 3
