"""Promises about what patients are told and how their questions are recognised."""

import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.knowledge.baseline import (
    CLOSING_LINE,
    FAQ_FOLDER,
    LONGEST_MESSAGE,
    BaselineError,
    Topic,
    load_sources,
    load_themes,
    load_topics,
)

NLU_FOLDER = FAQ_FOLDER.parent / "nlu"
TOPICS = {topic.topic: topic for topic in load_topics()}
ANSWERED = [topic for topic in TOPICS.values() if not topic.refuses]
REFUSED = [topic for topic in TOPICS.values() if topic.refuses]

NUMBER = r"(?:\d+(?:\.\d+)?|[半一二两三四五六七八九十百几])"
DOSE = re.compile(rf"(?i){NUMBER}\s*(?:mg|μg|ug|g|ml|毫克|微克|克|毫升|单位|片|粒|支|针|瓶|袋)(?!卫生巾)|每公斤|/kg")
FALSE_COMFORT = re.compile(r"没事的|应该没事|不用担心|不要紧|放心吧|一定能|保证能|肯定会好|根治|包治")
ADVERTISING = re.compile(r"https?://|www\.|淘宝|京东|优惠|购买链接|最好的药|第一品牌")
BRANDS = re.compile(r"瑞弗兰|恒曲|苏可欣|特比澳|美罗华|汉利康|达伯华|芬必得|扶他林|Nplate|美卓乐|新山地明")


class Phrase:
    """One way in which somebody asks."""

    def __init__(self, intent: str, text: str, metadata: dict[str, str]) -> None:
        self.intent = intent
        self.topic = metadata.get("topic", intent.removeprefix("faq/"))
        self.text = text
        self.writer = metadata["writer"]
        self.situation = metadata["situation"]


def _phrases() -> Iterator[Phrase]:
    for path in sorted(NLU_FOLDER.glob("faq_*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert content["version"] == "3.1", path.name
        for entry in content["nlu"]:
            for example in entry["examples"]:
                yield Phrase(entry["intent"], example["text"], example["metadata"])


PHRASES = list(_phrases())


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text.lower())


def _grams(text: str, length: int) -> frozenset[str]:
    plain = _plain(text)
    return frozenset(plain[start : start + length] for start in range(max(1, len(plain) - length + 1)))


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS.keys())
def test_no_answer_names_a_dose(topic: Topic) -> None:
    assert DOSE.findall(topic.short) == []
    assert DOSE.findall(topic.full) == []


@pytest.mark.parametrize(
    "text", ["每天25mg", "一次两片", "半片", "40毫克", "打七针", "每公斤体重", "300 U/kg", "吃 2 粒"]
)
def test_a_dose_would_be_noticed(text: str) -> None:
    assert DOSE.search(text)


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS.keys())
def test_no_answer_reassures_advertises_or_names_a_brand_in_its_title(topic: Topic) -> None:
    for text in (topic.short, topic.full):
        assert FALSE_COMFORT.findall(text) == []
        assert ADVERTISING.findall(text) == []
    assert BRANDS.findall(topic.title) == []


@pytest.mark.parametrize("topic", ANSWERED, ids=lambda topic: topic.topic)
def test_an_answer_closes_with_the_line_that_it_is_general_knowledge(topic: Topic) -> None:
    assert topic.message == f"{topic.short}\n{CLOSING_LINE}"
    assert len(topic.message) <= LONGEST_MESSAGE


@pytest.mark.parametrize("topic", REFUSED, ids=lambda topic: topic.topic)
def test_a_refused_question_is_declined_and_handed_over_with_the_way_out_in_an_emergency(topic: Topic) -> None:
    assert re.search(r"不能|只做ITP的科普", topic.short)
    assert re.search(r"医生|科室|血液科", topic.short)
    assert re.search(r"120|12356", topic.short)
    assert CLOSING_LINE not in topic.message
    assert "120" in topic.full


@pytest.mark.parametrize("topic", REFUSED, ids=lambda topic: topic.topic)
def test_a_refusal_offers_the_doctor_but_does_not_say_that_the_question_was_passed_on(topic: Topic) -> None:
    assert not re.search(r"已(经)?转|转过去|我来帮您转|马上转", topic.short + topic.full)


def test_what_must_not_be_answered_is_refused() -> None:
    assert {topic.topic for topic in REFUSED} == {
        "dose_change",
        "stop_drug",
        "interpret_result",
        "diagnose_me",
        "prescribe_me",
        "other_disease",
        "safe_to_skip",
        "personal_prognosis",
    }


def test_refusals_are_trained_as_questions_for_a_doctor_and_answers_as_general_knowledge() -> None:
    """Other illnesses are declined at once: the doctors on duty here do not treat them."""
    for phrase in PHRASES:
        to_doctor = TOPICS[phrase.topic].refuses and phrase.topic != "other_disease"
        assert phrase.intent == ("ask_doctor" if to_doctor else f"faq/{phrase.topic}"), phrase.text


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("eltrombopag_food", r"前.*2小时|之前至少2小时"),
        ("hetrombopag_food", r"空腹"),
        ("avatrombopag_food", r"随餐"),
        ("nosebleed_care", r"10到15分钟"),
        ("asplenia_care", r"38℃以上.*急诊"),
        ("steroid_stop", r"不能自己停"),
        ("missed_dose", r"不要补双倍"),
        ("head_injury_info", r"当天都去急诊"),
        ("heavy_period", r"每小时湿透一片卫生巾、连续2小时以上"),
        ("rituximab_what", r"查乙肝"),
        ("emergency_signs", r"先打120"),
        ("mood", r"12356"),
        ("sport", r"避开"),
        ("pain_fever_drug", r"避开阿司匹林、布洛芬"),
        ("unit_help", r"3万就是30×10⁹/L，3千就是3×10⁹/L"),
    ],
)
def test_what_matters_most_is_said_in_the_chat_itself(topic: str, said: str) -> None:
    assert re.search(said, TOPICS[topic].short)


def test_no_procedure_is_cleared_by_a_number() -> None:
    assert not re.search(r"10⁹|万", TOPICS["procedure_counts"].short + TOPICS["procedure_counts"].full)


def test_every_theme_has_a_topic() -> None:
    covered = {theme for topic in TOPICS.values() for theme in topic.themes}
    assert {theme.id for theme in load_themes()} == covered


def test_every_source_listed_is_used() -> None:
    assert load_sources().keys() == {code for topic in TOPICS.values() for code in topic.sources}


def test_every_topic_is_asked_in_at_least_fifteen_ways_by_many_kinds_of_people() -> None:
    asked: dict[str, list[Phrase]] = defaultdict(list)
    for phrase in PHRASES:
        asked[phrase.topic].append(phrase)
    assert asked.keys() == TOPICS.keys()
    for topic, phrases in asked.items():
        assert len(phrases) >= 15, topic
        assert len({phrase.writer for phrase in phrases}) >= 8, topic


def test_no_phrase_stands_twice_or_in_two_topics() -> None:
    times = Counter(_plain(phrase.text) for phrase in PHRASES)
    assert [text for text, count in times.items() if count > 1] == []


def test_no_two_phrases_are_nearly_the_same() -> None:
    grams = [_grams(phrase.text, 3) for phrase in PHRASES]
    holders: dict[str, list[int]] = defaultdict(list)
    near = []
    for index, own in enumerate(grams):
        shared = Counter(other for gram in own for other in holders[gram])
        near += [
            (PHRASES[index].text, PHRASES[other].text)
            for other, count in shared.items()
            if count / len(own | grams[other]) > 0.5
        ]
        for gram in own:
            holders[gram].append(index)
    assert near == []


def test_a_phrase_carries_no_phone_number_or_entity_markup() -> None:
    for phrase in PHRASES:
        assert not re.search(r"\d{7,}|[\[\]{}<>]|^/", phrase.text), phrase.text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the baseline to spoil."""
    return Path(shutil.copytree(FAQ_FOLDER, tmp_path / "faq"))


def _spoil(folder: Path, **change: Any) -> None:
    path = folder / "basics.yml"
    topics = yaml.safe_load(path.read_text(encoding="utf-8"))
    topics[0].update(change)
    path.write_text(yaml.safe_dump(topics, allow_unicode=True), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"colour": "red"}, "colour"),
        ({"short": "长" * LONGEST_MESSAGE}, "are allowed"),
        ({"full": "太短"}, "full"),
        ({"sources": []}, "sources"),
        ({"sources": ["NOWHERE"]}, "unknown sources: NOWHERE"),
        ({"sources": ["CN20", "CN20"]}, "CN20 twice"),
        ({"themes": ["astrology"]}, "unknown themes: astrology"),
        ({"answer_class": "B"}, "answer_class"),
        ({"status": "published"}, "status"),
        ({"topic": "symptoms"}, "symptoms stands twice"),
        ({"must_not_say": ["免疫系统"]}, "says what it must not: 免疫系统"),
        ({"valid_until": "some day"}, "valid_until"),
    ],
)
def test_a_spoilt_topic_is_refused_by_name_and_reason(folder: Path, change: dict[str, Any], reason: str) -> None:
    _spoil(folder, **change)
    with pytest.raises(BaselineError, match=r"basics\.yml") as refused:
        load_topics(folder)
    assert reason in str(refused.value)


def test_a_missing_or_broken_file_is_named(folder: Path) -> None:
    (folder / "basics.yml").write_text("- topic: [", encoding="utf-8")
    with pytest.raises(BaselineError, match=r"basics\.yml is not YAML"):
        load_topics(folder)
    (folder / "themes.yml").unlink()
    with pytest.raises(BaselineError, match=r"themes\.yml is missing"):
        load_topics(folder)


@pytest.mark.parametrize(("file", "load"), [("themes.yml", load_themes), ("sources.yml", load_sources)])
def test_a_theme_or_source_stands_once(folder: Path, file: str, load: Any) -> None:
    path = folder / file
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump([*entries, entries[0]], allow_unicode=True), encoding="utf-8")
    with pytest.raises(BaselineError, match="stands twice"):
        load(folder)
