"""Templates of a real account name their fields as they like and take only so much."""

import pytest

from bot.wechat.templates import Template

FIELDS = {
    "level": "紧急",
    "number": "1003",
    "reason": "突发剧烈头痛、头痛伴呕吐、新出现的头痛、视物模糊",
    "time": "11-24 14:45",
}


def test_a_template_with_our_own_names_gets_every_field() -> None:
    assert Template.parse("some-id").fill(FIELDS) == FIELDS


def test_fields_go_under_the_names_the_account_gave_them_and_others_stay_out() -> None:
    filled = Template.parse("some-id number=character_string2 reason=thing3").fill(FIELDS)
    assert filled == {"character_string2": "1003", "thing3": "突发剧烈头痛、头痛伴呕吐、新出现的头痛…"}


@pytest.mark.parametrize(("name", "longest"), [("thing1", 20), ("phrase12", 5), ("name4", 10), ("time2", 200)])
def test_a_value_is_cut_to_what_its_kind_takes(name: str, longest: int) -> None:
    filled = Template.parse(f"some-id reason={name}").fill({"reason": "痛" * 300})
    assert len(filled[name]) == longest and filled[name].endswith("…")
