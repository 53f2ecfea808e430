"""Every red flag: what patients say raises it; denied, past, supposed or told of others, it is no emergency."""

from datetime import date

import pytest
from care.triage.said import DATASET, cases, phrases, sample

from bot.care.triage import Facts, FlagLevel, rulebook, triage

TODAY = date(2026, 11, 23)
LEVELS = {"E": FlagLevel.EMERGENCY, "U": FlagLevel.URGENT, "W": FlagLevel.WATCH}
CASES = cases()
# What carries its own negation, or has a figure in it, is not denied or put in the past by a form around it.
PLAIN = sorted(
    {
        text
        for sense in DATASET["senses"]
        for text in phrases(sense)
        if not any(char in text for char in "不没无未") and not any(char.isdigit() for char in text)
    }
)


def level(text, **more):
    return triage(text, today=TODAY, **more).flag_level


def flags(text, **more):
    return {hit.flag_id: hit.level for hit in triage(text, today=TODAY, **more).hits}


def test_all_flags_of_the_clinical_brief_are_there():
    assert len(CASES) == 95
    assert {flag for flag, *_ in CASES} <= {flag.id for flag in rulebook().flags}


@pytest.mark.parametrize(("flag", "letter", "said", "denied", "past"), CASES, ids=[case[0] for case in CASES])
def test_what_patients_say_raises_the_flag_and_its_denial_does_not(flag, letter, said, denied, past):
    assert rulebook().flag(flag).level == LEVELS[letter]
    for text in said:
        assert level(text) >= LEVELS[letter], text
    assert sum(flag in flags(text) for text in said) >= len(said) - 2
    assert flag not in flags(denied), denied
    for text in past:
        assert level(text) < FlagLevel.EMERGENCY, text
        assert flags(text).get(flag, FlagLevel.NONE) < LEVELS[letter], text


@pytest.mark.parametrize("flag", DATASET["flags"], ids=lambda flag: flag["id"])
def test_every_pattern_of_the_data_raises_its_flag(flag):
    for pattern in flag["any"]:
        said = sample(pattern)
        if said is not None:
            assert flag["id"] in flags(said), f"{pattern}: {said}"


@pytest.mark.parametrize(
    "form",
    ["没有{}", "去年{}过", "如果{}怎么办", "以前{}", "会不会{}", "我们群里有个病友{}了", "听说会{}", "小时候{}过一次"],
)
def test_no_complaint_in_this_form_is_an_emergency(form):
    wrong = [form.format(text) for text in PLAIN if level(form.format(text)) is FlagLevel.EMERGENCY]
    assert wrong == []


@pytest.mark.parametrize("form", ["我妈{}", "{}，怎么办", "医生，孩子今天{}", "刚才{}了", "去年住过院，今天又{}"])
def test_an_emergency_told_now_stays_one_in_any_form(form):
    emergencies = [
        text
        for sense in ("吐血", "黑便", "抽搐", "偏瘫", "言语不清", "意识差")
        for text in phrases(sense)
        if not any(char in text for char in "不没无未过才又")
    ]
    missed = [form.format(text) for text in emergencies if level(form.format(text)) < FlagLevel.EMERGENCY]
    assert missed == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "鼻血止不住",
            "人叫不醒",
            "喊他不应",
            "突然看不见了",
            "说不出话了",
            "站不稳",
            "左手没力气",
            "喘不上气",
        ),
        *(
            "没有发烧，但是吐血了",
            "没有头痛，但是吐血了",
            "不是没有吐血",
            "就一点点黑便",
            "头不痛，就是一直吐血",
            "没有外伤可是抽搐了一下",
        ),
        *(
            "去年脑出血过，今天又头痛得厉害",
            "我头痛会不会是脑出血，从昨晚痛到现在越来越厉害",
            "以前没这样，刚才吐了两口血",
        ),
        *("孩子现在抽搐", "我妈现在叫不醒", "我爸突然半边身子动不了", "邻居说没事，可我一直在吐血"),
        *(
            "頭痛得厲害，吐了兩次",
            "头　疼得厉害！！！吐了",
            "头好痛🤮🤮",
            "土血了",
            "大便黑的像拍油一样",
            "吐 血 了",
            "没有一天不流鼻血还止不住",
        ),
        *("没吃药头痛得要炸了吐了三次", "不停地吐血", "从来没这么头痛过", "血小板3，昨天查的", "血小板不到1万"),
    ],
)
def test_hard_wordings_of_an_emergency(text):
    assert level(text) is FlagLevel.EMERGENCY


@pytest.mark.parametrize(
    "text",
    [
        *(
            "血小板低能不能打篮球",
            "气得我吐血",
            "笑到头痛",
            "累得想吐血",
            "报销手续真让人头疼",
            "钱包大出血",
            "这药价看得我心在滴血",
            "我快忙吐血了",
        ),
        *(
            "没有头痛没有呕吐",
            "没有头痛、呕吐、抽搐",
            "会不会脑出血",
            "血小板低会脑出血吗",
            "怎么预防脑出血",
            "脑出血是什么症状",
            "听说会昏迷，是真的吗",
        ),
        *(
            "如果半夜流鼻血止不住怎么办",
            "万一吐血了要打120吗",
            "我们群里有个病友脑出血了，好害怕",
            "电视里那个人吐血了",
            "我奶奶以前脑溢血过",
        ),
        *(
            "要抽血吗",
            "骨头痛",
            "什么样的头痛要去急诊",
            "ITP病人吐血怎么办呢",
            "切脾手术风险大吗",
            "血小板的正常范围是多大",
            "艾曲泊帕能和牛奶一起吃吗",
        ),
    ],
)
def test_ordinary_talk_is_no_emergency(text):
    assert level(text) < FlagLevel.URGENT


def test_the_story_of_the_headache_and_of_the_count():
    assert level("头疼得厉害，吐了两次") is FlagLevel.EMERGENCY
    assert level("血小板低能不能打篮球") is FlagLevel.NONE
    verdict = triage("我早上血小板 2.3万，艾曲泊帕要不要加量", today=TODAY)
    assert verdict.flag_level is FlagLevel.WATCH
    assert [hit.flag_id for hit in verdict.hits] == ["plt_20_30"]


def test_words_split_over_two_messages_are_read_together():
    assert level("头疼得不行") is FlagLevel.EMERGENCY or level("头有点疼") is FlagLevel.EMERGENCY
    assert level("刚才吐了两次") < FlagLevel.EMERGENCY
    verdict = triage("刚才吐了两次", earlier=["血小板62", "头一直疼"], today=TODAY)
    assert verdict.flag_level is FlagLevel.EMERGENCY
    assert "ich_headache_vomit" in {hit.flag_id for hit in verdict.hits}


def test_an_earlier_emergency_alone_does_not_fire_again():
    assert triage("好的谢谢", earlier=["我吐血了"], today=TODAY).flag_level is FlagLevel.NONE


def test_a_flag_that_needs_the_record_fires_with_it():
    on_tpo = Facts(medicines=("艾曲泊帕",))
    assert "plt_gt400_tpo" in flags("血小板500了", record=on_tpo)
    assert "plt_gt400_tpo" not in flags("血小板500了")
    assert "steroid_gi_pain" in flags("肚子上面痛", record=Facts(medicines=("泼尼松",)))
    assert "fever_splenectomy" in flags("烧到38.5了", record=Facts(asplenic=True))


def test_the_words_of_a_hit_are_those_typed():
    text = "医生您好，我今天早上大便黑得像柏油，要紧吗"
    hit = next(hit for hit in triage(text, today=TODAY).hits if hit.flag_id == "gi_melena")
    assert hit.span is not None and text[slice(*hit.span)] == hit.words
    assert hit.words.startswith("大便黑")


def test_what_is_only_weakly_past_is_asked_about():
    assert "is_it_now" in triage("上次吐血了", today=TODAY).needs


def test_an_unconfirmed_count_is_judged_at_its_worst_and_asked_about():
    verdict = triage("血小板3", today=TODAY)
    assert verdict.flag_level is FlagLevel.EMERGENCY and "count_unit" in verdict.needs
    assert triage("血小板3万", today=TODAY).flag_level is FlagLevel.NONE


def test_unknown_pregnancy_does_not_raise_but_is_asked_for():
    verdict = triage("来月经，血小板25，没有别的不舒服", today=TODAY)
    assert verdict.flag_level is FlagLevel.WATCH and "pregnant" in verdict.needs
    assert triage("来月经，血小板25", record=Facts(pregnant=False), today=TODAY).needs.count("pregnant") == 0
