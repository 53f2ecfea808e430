"""Each custom action: what it says, what it does, and that a repeated call says the same and does nothing more."""

import uuid

import pytest
from actions_stage import Engine
from sqlalchemy import func, select

from bot import clock
from bot.dialogue import phrases
from bot.dialogue.turns import ActionResult
from bot.knowledge.faq import FaqAnswered, FaqRevision, FaqTopic, RevisionState
from bot.store.accounts import Account


async def answered(engine: Engine) -> int:
    async with engine.database.reading() as session:
        mine = FaqAnswered.account_id == engine.account.id
        return int(await session.scalar(select(func.count()).where(mine)) or 0)


async def noted(engine: Engine) -> FaqAnswered:
    async with engine.database.reading() as session:
        return (await session.scalars(select(FaqAnswered).where(FaqAnswered.account_id == engine.account.id))).one()


# -- once for each cause ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "text", "intent", "topics"),
    [
        ("action_answer_faq", "能打篮球吗", "faq", [("sport", 0.9)]),
        ("action_record_report", "今天血小板45", "report", []),
        ("action_record_report", "血小板20-30", "report", []),
        ("action_correct_report", "打错了，是82", "correct", []),
        ("action_ask_doctor", "艾曲泊帕要不要加量，今天血小板45", "ask_doctor", []),
        ("action_ask_doctor", "问医生", "ask_human", []),
        ("action_show_record", "看看我的记录", "see_record", []),
        ("action_fallback", "哗啦啦", "nlu_fallback", [("sport", 0.2)]),
        ("action_leave_checkin", "不想填了", "stop", []),
        ("action_checkin_done", "没有", "inform", []),
    ],
)
async def test_a_repeated_call_returns_the_same_and_does_nothing_more(
    engine: Engine, action: str, text: str, intent: str, topics: list[tuple[str, float]]
) -> None:
    turn = engine.hears(text, intent, topics=topics)
    first = await turn.run(action)
    assert first.responses
    before = (await engine.counts(), await engine.questions(), await answered(engine))
    for _ in range(2):
        again = await turn.run(action)
        assert (again.events, again.responses) == (first.events, first.responses)
    assert (await engine.counts(), await engine.questions(), await answered(engine)) == before


async def test_the_same_words_in_another_message_are_another_cause(engine: Engine) -> None:
    for _ in range(2):
        await engine.hears("今天血小板45", "report").run("action_record_report")
    assert await engine.counts() == [45.0, 45.0]


async def test_what_an_action_returned_is_kept_sealed(engine: Engine) -> None:
    await engine.hears("今天血小板45", "report").run("action_record_report")
    async with engine.database.reading() as session:
        mine = ActionResult.account_id == engine.account.id
        kept = (await session.scalars(select(ActionResult).where(mine))).one()
    assert "血小板".encode() not in kept.result_sealed


async def test_a_conversation_that_nobody_has_runs_nothing(engine: Engine) -> None:
    turn = engine.hears("今天血小板45", "report")
    turn.account = Account(conversation_id=uuid.uuid4())
    await turn.run("action_record_report", status=500)


# -- the FAQ ----------------------------------------------------------------------------------------------------------


async def test_the_published_revision_answers_and_is_noted(engine: Engine) -> None:
    said = await engine.hears("能打篮球吗", topics=[("sport", 0.9), ("travel", 0.05)]).run("action_answer_faq")
    assert "看完整说明" in said.text
    note = await noted(engine)
    async with engine.database.reading() as session:
        revision = await session.get_one(FaqRevision, note.revision_id)
    assert (note.topic_id, note.confidence) == ("sport", 0.9)
    assert revision.state is RevisionState.PUBLISHED
    assert said.text.startswith(revision.short)


@pytest.mark.parametrize(
    ("first", "second", "sure"),
    [(0.9, 0.05, True), (0.4, 0.2, True), (0.36, 0.24, True), (0.5, 0.4, False), (0.34, 0.01, False)],
)
async def test_sure_is_likely_by_itself_and_clearly_likelier_than_the_next(
    engine: Engine, first: float, second: float, sure: bool
) -> None:
    turn = engine.hears("能不能动一动", topics=[("sport", first), ("travel", second), ("diet", 0.01)])
    said = await turn.run("action_answer_faq")
    assert (phrases.WHICH in said.text) is not sure
    assert await answered(engine) == int(sure)
    if not sure:
        assert said.buttons[-1] == phrases.NONE_OF_THESE
        assert len(said.buttons) == 4


async def test_the_title_of_a_topic_is_answered_however_unsure_the_engine_is(engine: Engine) -> None:
    topics = [("travel", 0.2), ("sport", 0.19)]
    menu = await engine.hears("动一动", topics=topics).run("action_answer_faq")
    title = menu.buttons[1]
    said = await engine.hears(title.rstrip("？"), topics=topics).run("action_answer_faq")
    assert "看完整说明" in said.text
    assert (await noted(engine)).topic_id == "sport"


async def test_a_topic_without_a_published_answer_offers_the_doctor(engine: Engine) -> None:
    async with engine.database.transaction() as session:
        topic = FaqTopic(id=f"draft-{engine.account.id}", themes=[], title="还没有批准的问题")
        session.add(topic)
        await session.flush()
        session.add(
            FaqRevision(
                topic_id=topic.id,
                number=1,
                state=RevisionState.DRAFT,
                short="草稿",
                full="草稿",
                sources=[],
                created_at=clock.now(),
                created_by="tests",
            )
        )
    for text, topics in (("能吃吗", [(topic.id, 0.9)]), ("能吃吗", [("no-such-topic", 0.9)]), ("能吃吗", [])):
        said = await engine.hears(text, topics=topics).run("action_answer_faq")
        assert (said.text, said.buttons) == (phrases.NO_ANSWER, [phrases.ASK_DOCTOR])
    assert await answered(engine) == 0


async def test_a_topic_that_refuses_offers_the_doctor_and_no_page(engine: Engine) -> None:
    async with engine.database.reading() as session:
        topic = (await session.scalars(select(FaqTopic.id).where(FaqTopic.refuses))).first()
    said = await engine.hears("我能停药吗", topics=[(str(topic), 0.9)]).run("action_answer_faq")
    assert said.buttons == [phrases.ASK_DOCTOR]
    assert "看完整说明" not in said.text
    assert await engine.questions() == 0, "a refusal alone puts nothing to the doctors"


async def test_not_understood_offers_topics_and_the_second_time_the_doctor(engine: Engine) -> None:
    first = await engine.hears("哗啦啦", "nlu_fallback", topics=[("sport", 0.2)]).run("action_fallback")
    assert first.slots == {"not_understood": 1}
    assert first.buttons[-1] == phrases.NONE_OF_THESE
    second = await engine.hears("咕噜", "nlu_fallback", slots=first.slots).run("action_fallback")
    assert (second.text, second.buttons) == (phrases.TWICE_MISSED, [phrases.ASK_DOCTOR])
    assert second.slots == {"not_understood": None}


# -- agreement --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action", ["action_record_report", "action_correct_report", "action_show_record", "action_ask_doctor"]
)
async def test_what_builds_or_shows_a_record_needs_agreement(engine: Engine, action: str) -> None:
    said = await engine.hears("今天血小板45，要不要加量", "report", stranger=True).run(action)
    assert "同意" in said.text
    assert said.buttons == [phrases.CONSENT]
    assert await engine.questions(engine.stranger) == 0


async def test_knowledge_needs_no_agreement(engine: Engine) -> None:
    said = await engine.hears("能打篮球吗", topics=[("sport", 0.9)], stranger=True).run("action_answer_faq")
    assert "看完整说明" in said.text


# -- counts -----------------------------------------------------------------------------------------------------------


async def test_a_doubt_is_kept_in_the_conversation_until_it_is_cleared(engine: Engine) -> None:
    asked = await engine.hears("昨天血小板3", "report").run("action_record_report")
    assert asked.buttons == ["3月3日 3 ×10⁹/L（0.3万）", "3月3日 30 ×10⁹/L（3万）"]
    assert asked.slots == {"pending_report": {"taken_on": "2026-03-03"}}
    assert await engine.counts() == []
    said = await engine.hears(asked.buttons[1], "inform", slots=asked.slots).run("action_record_report")
    assert said.text == "记下了：昨天（3月3日）血小板 30 ×10⁹/L（3万）。"
    assert said.slots == {"pending_report": None}
    assert await engine.counts() == [30.0]


async def test_an_unclear_answer_to_a_doubt_is_asked_again(engine: Engine) -> None:
    asked = await engine.hears("血小板3", "report").run("action_record_report")
    again = await engine.hears("3", "inform", slots=asked.slots).run("action_record_report")
    assert again.buttons == asked.buttons
    assert again.slots == asked.slots


async def test_a_correction_says_what_was_and_what_is(engine: Engine) -> None:
    await engine.hears("今天血小板32", "report").run("action_record_report")
    said = await engine.hears("打错了，是82", "correct").run("action_correct_report")
    assert said.text == "改好了：32 ×10⁹/L（3.2万） 改为 82 ×10⁹/L（8.2万）。"
    assert await engine.counts() == [82.0]


async def test_a_correction_in_doubt_is_asked_back_and_then_made(engine: Engine) -> None:
    await engine.hears("今天血小板32", "report").run("action_record_report")
    asked = await engine.hears("打错了，是3", "correct").run("action_correct_report")
    assert await engine.counts() == [32.0]
    await engine.hears(asked.buttons[1], "inform", slots=asked.slots).run("action_record_report")
    assert await engine.counts() == [30.0]


@pytest.mark.parametrize("intent", ["affirm", "deny"])
async def test_yes_and_no_to_nothing_are_acknowledged(engine: Engine, intent: str) -> None:
    said = await engine.hears("好的", intent).run("action_record_report")
    assert said.text == phrases.ACKNOWLEDGED


async def test_the_last_five_counts_are_shown_in_order(engine: Engine) -> None:
    for day in range(1, 5):
        await engine.hears(f"3月{day}日血小板{40 + day}，2月{day}日血小板{20 + day}", "report").run(
            "action_record_report"
        )
    said = await engine.hears("看看我的记录", "see_record").run("action_show_record")
    lines = [line for line in said.text.splitlines() if "×10⁹/L" in line]
    assert [line.split()[1] for line in lines] == ["24", "41", "42", "43", "44"]


# -- the doctor -------------------------------------------------------------------------------------------------------


async def test_a_question_goes_to_the_doctor_on_duty_with_its_counts(engine: Engine) -> None:
    said = await engine.hears("今天血小板45，艾曲泊帕要不要加量", "ask_doctor").run("action_ask_doctor")
    assert "45 ×10⁹/L（4.5万）" in said.text
    assert "值班的李医生" in said.text
    assert "两个工作日内" in said.text
    assert await engine.counts() == [45.0]
    [question] = await engine.ward(lambda ward: ward.consultations(engine.account))
    assert await engine.ward(lambda ward: ward.words(question, "patient")) == ["今天血小板45，艾曲泊帕要不要加量"]


@pytest.mark.parametrize("words", ["问医生", "转人工。", "都不是，问医生"])
async def test_only_wanting_a_person_asks_for_the_question_first(engine: Engine, words: str) -> None:
    said = await engine.hears(words, "ask_human").run("action_ask_doctor")
    assert said.text == phrases.TYPE_YOUR_QUESTION
    assert await engine.questions() == 0


async def test_a_second_question_is_added_to_the_open_one(engine: Engine) -> None:
    await engine.hears("艾曲泊帕要不要加量", "ask_doctor").run("action_ask_doctor")
    said = await engine.hears("还有激素呢", "ask_doctor").run("action_ask_doctor")
    assert "补充到您刚才的咨询里" in said.text
    assert await engine.questions() == 1
