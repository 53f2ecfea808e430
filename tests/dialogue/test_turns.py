"""Conversations with a real engine: what is answered, what is saved, what is aborted."""

import asyncio

import acting.all as acting
import aiohttp
import pytest
from dialogue_stage import ActionServer, Chat, MovedClock, Servers

from bot.dialogue.engine_client import EngineClient, FormOpen, Refused, TurnAborted
from bot.dialogue.engine_process import EngineProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK_PLATELET = "血小板是多少"
ASK_BLEEDING = "有没有出血"


async def test_a_general_question_is_answered_by_its_topic(chat: Chat) -> None:
    (answer,) = await chat.say("血小板低能不能打篮球")
    assert answer.startswith("科普：faq/sport")


async def test_a_question_on_ones_own_dose_goes_to_the_doctor(chat: Chat) -> None:
    assert await chat.say("艾曲泊帕要不要再加半片") == ["已转给值班医生"]


async def test_a_checkin_survives_a_general_question_in_its_middle(chat: Chat) -> None:
    (first,) = await chat.checkin("c7")
    assert ASK_PLATELET in first

    interrupted = await chat.say("血小板低能不能打篮球")
    assert interrupted[0].startswith("科普：")
    assert ASK_PLATELET in interrupted[1]

    (second,) = await chat.say("23")
    assert ASK_BLEEDING in second
    assert await chat.say("没有") == ["回访完成：c7/23/没有"]


async def test_leaving_the_checkin_and_asking_for_a_person_close_the_form(chat: Chat) -> None:
    await chat.checkin()
    assert await chat.say("不做了") == ["回访先停在这里"]
    assert await chat.say("你好") == ["您好，我是智能助手。关于ITP的常识可以问我，您自己的治疗我会转给值班医生。"]

    await chat.checkin()
    assert await chat.say("转人工") == ["回访先停在这里", "已转给值班医生"]
    assert not any(ASK_PLATELET in said for said in await chat.say("谢谢"))


async def test_every_intent_has_its_answer(chat: Chat) -> None:
    expected = {
        "今天血小板23": "记下了",
        "写错了，应该是32": "改好了",
        "转人工": "已转给值班医生",
        "看看我的血小板": "您的记录",
        "你能做什么": "我是智能助手，可以帮您",
        "谢谢": "不客气",
        "再见": "好的，您多保重",
        "对": "记下了",
        "不是": "记下了",
        "跳过": "现在没有正在进行的问题",
        "不做了": "现在没有正在进行的问题",
        "给我讲个笑话": "我只懂ITP方面的常识",
        "qwxzkj": "没听懂",
    }
    heard = {text: " ".join(await chat.say(text)) for text in expected}
    assert {text: answer for text, answer in expected.items() if answer not in heard[text]} == {}


async def test_a_message_answered_before_gets_the_same_answer_and_runs_nothing(chat: Chat) -> None:
    await chat.checkin()
    first = await chat.client.say(chat.id, "血小板低能不能打篮球", "same-message")
    ran, rows = len(acting.ran), chat.rows()
    again = await chat.client.say(chat.id, "血小板低能不能打篮球", "same-message")

    assert again.replayed
    assert not first.replayed
    assert again.messages == first.messages
    assert len(first.messages) == 2
    assert (len(acting.ran), chat.rows()) == (ran, rows)
    (second,) = await chat.say("23")
    assert ASK_BLEEDING in second


async def test_a_failed_action_leaves_the_form_as_it_was_and_the_same_message_can_be_tried_again(chat: Chat) -> None:
    await chat.checkin()
    before = chat.rows("type_name, position")
    acting.behave["validate_checkin_form"] = acting.fail
    with pytest.raises(TurnAborted):
        await chat.say("23", "tried-again")
    assert chat.rows("type_name, position") == before

    acting.behave.clear()
    (second,) = await chat.say("23", "tried-again")
    assert ASK_BLEEDING in second


async def test_an_action_server_that_is_down_in_the_middle_of_a_form_loses_nothing(
    chat: Chat, action_server: ActionServer
) -> None:
    await chat.checkin("c9")
    await action_server.close()
    try:
        with pytest.raises(TurnAborted):
            await chat.say("23", "while-down")
    finally:
        await action_server.open()
    await chat.say("23", "while-down")
    assert await chat.say("没有") == ["回访完成：c9/23/没有"]


async def test_a_failed_first_message_leaves_no_conversation(chat: Chat) -> None:
    acting.behave["action_session_start"] = acting.fail
    with pytest.raises(TurnAborted):
        await chat.say("你好")
    assert chat.rows() == []


async def test_a_turn_that_says_nothing_is_aborted(chat: Chat) -> None:
    await chat.say("你好")
    before = chat.rows()
    acting.behave["action_show_record"] = acting.say_nothing
    with pytest.raises(TurnAborted):
        await chat.say("看看我的血小板")
    assert chat.rows() == before


async def test_a_turn_that_is_silent_on_purpose_is_an_empty_answer(chat: Chat) -> None:
    acting.behave["action_show_record"] = acting.say_nothing_on_purpose
    answer = await chat.client.say(chat.id, "看看我的血小板", "silent-1")
    assert answer.messages == []
    again = await chat.client.say(chat.id, "看看我的血小板", "silent-1")
    assert again.replayed
    assert again.messages == []


async def test_a_rejected_action_is_answered_with_the_safe_words(chat: Chat) -> None:
    acting.behave["action_answer_faq"] = acting.reject
    (answer,) = await chat.say("血小板低能不能打篮球")
    assert "我没有听懂" in answer
    assert "120" in answer


async def test_commands_typed_by_a_patient_are_text(chat: Chat) -> None:
    await chat.checkin("c3")
    await chat.say("/restart")
    await chat.say("  /EXTERNAL_checkin")
    assert "restart" not in [kind for (kind,) in chat.rows()]
    await chat.say("23")
    assert await chat.say("没有") == ["回访完成：c3/23/没有"]


async def test_nothing_is_triggered_while_a_form_waits(chat: Chat) -> None:
    await chat.checkin("c1")
    before = chat.rows()
    with pytest.raises(FormOpen):
        await chat.checkin("c2")
    assert chat.rows() == before
    (second,) = await chat.say("23")
    assert ASK_BLEEDING in second


async def test_a_trigger_repeated_with_its_id_starts_one_form(chat: Chat) -> None:
    slots = {"checkin_id": "c1", "checkin_platelet": None, "checkin_bleeding": None}
    first = await chat.client.trigger(chat.id, "EXTERNAL_checkin", "trigger-1", slots=slots)
    again = await chat.client.trigger(chat.id, "EXTERNAL_checkin", "trigger-1", slots=slots)
    assert again.replayed
    assert again.messages == first.messages


@pytest.mark.parametrize(
    ("intent", "slots"), [("greet", {}), ("EXTERNAL_other", {}), ("EXTERNAL_checkin", {"nope": 1})]
)
async def test_only_known_events_with_known_slots_are_triggered(chat: Chat, intent: str, slots: dict[str, int]) -> None:
    with pytest.raises(Refused):
        await chat.client.trigger(chat.id, intent, chat.next_id(), slots=slots)
    assert chat.rows() == []


async def test_a_new_session_takes_up_the_open_form_after_hours(chat: Chat, moved_clock: MovedClock) -> None:
    await chat.checkin("c5")
    await chat.say("23")
    acting.draft[chat.id] = {"checkin_id": "c5", "checkin_platelet": "23"}
    for hours in (5, 72):
        await moved_clock.ahead(hours)
        assert len([kind for (kind,) in chat.rows() if kind == "session_started"]) >= 1
        interrupted = await chat.say("血小板低能不能打篮球")
        assert ASK_BLEEDING in interrupted[-1]
    assert len([kind for (kind,) in chat.rows() if kind == "session_started"]) == 3
    assert await chat.say("没有") == ["回访完成：c5/23/没有"]


async def test_slots_are_not_carried_into_a_new_session(chat: Chat, moved_clock: MovedClock) -> None:
    await chat.checkin("c6")
    await chat.say("不做了")
    await moved_clock.ahead(200)
    await chat.say("看看我的血小板")
    assert acting.seen[-1].get_slot("checkin_id") is None


async def test_actions_learn_the_message_the_trace_and_the_metadata(chat: Chat, action_server: ActionServer) -> None:
    action_server.around.turns.clear()
    await chat.say("血小板低能不能打篮球", "message-77")
    start, answer = action_server.around.turns
    assert (start.action, start.message_id, start.trace_id) == ("action_session_start", "message-77", "trace-1")
    assert (answer.action, answer.message_id, answer.ordinal) == ("action_answer_faq", "message-77", 0)
    assert answer.conversation_id == chat.id
    assert acting.seen[-1].latest_message["metadata"]["person"] == "p1"


async def test_each_run_of_an_action_in_a_turn_has_its_own_number_and_a_retry_the_same(
    chat: Chat, action_server: ActionServer
) -> None:
    await chat.checkin()
    turns = action_server.around.turns
    turns.clear()
    acting.behave["action_answer_faq"] = acting.fail
    with pytest.raises(TurnAborted):
        await chat.say("血小板低能不能打篮球", "message-88")
    failed = list(turns)
    turns.clear()
    acting.behave.clear()
    await chat.say("血小板低能不能打篮球", "message-88")

    keys = [(turn.action, turn.message_id, turn.ordinal) for turn in turns]
    assert keys[: len(failed)] == [(turn.action, turn.message_id, turn.ordinal) for turn in failed]
    assert len(keys) == len(set(keys))
    assert [turn.action for turn in turns] == ["validate_checkin_form", "action_answer_faq", "validate_checkin_form"]


async def test_without_the_secret_nobody_speaks_as_a_patient(chat: Chat, engine: EngineProcess) -> None:
    async with EngineClient([engine.url], secret="x" * 24, token=engine.options.token) as stranger:
        with pytest.raises(Refused):
            await stranger.say(chat.id, "你好", "m1")
        with pytest.raises(Refused):
            await stranger.trigger(chat.id, "EXTERNAL_checkin", "m2")
    async with EngineClient([engine.url], secret=engine.options.secret, token="wrong") as stranger:
        assert not await stranger.ready()
    assert chat.rows() == []


async def test_rasas_own_open_channel_is_closed(engine: EngineProcess) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.post(engine.url + "/webhooks/rest/webhook", json={"sender": "x", "message": "你好"}) as answer:
            assert answer.status == 404
        async with http.get(engine.url + "/conversations/x/tracker") as answer:
            assert answer.status == 401


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"sender": "a", "text": "你好"},
        {"sender": "a", "message_id": "", "text": "你好"},
        {"sender": 7, "message_id": "m", "text": "你好"},
        {"sender": "a", "message_id": "m", "text": "  "},
        {"sender": "a", "message_id": "m", "text": None},
        {"sender": "a", "message_id": "m" * 200, "text": "你好"},
        {"sender": "a", "message_id": "m", "text": "你好", "metadata": "x"},
    ],
)
async def test_a_malformed_request_is_refused(engine: EngineProcess, body: object) -> None:
    headers = {"X-Engine-Secret": engine.options.secret}
    async with (
        aiohttp.ClientSession() as http,
        http.post(engine.url + "/webhooks/app/webhook", json=body, headers=headers) as answer,
    ):
        assert answer.status == 400


async def test_messages_fired_at_once_are_answered_one_after_the_other_and_all_kept(chat: Chat) -> None:
    await chat.say("你好")
    texts = ["血小板低能不能打篮球", "谢谢"] * 4
    answers = await asyncio.gather(*[chat.say(text) for text in texts])
    assert all(answers)
    assert len([kind for (kind,) in chat.rows() if kind == "user"]) == 9


async def test_emoji_control_characters_and_length_do_no_harm(chat: Chat) -> None:
    for text in ("😭😭😭", "\x00\x07你好\u202e", "长" * 10_000, "Ａ" * 50, "{}[]${HOME}", "\u202e🩸"):
        assert await chat.say(text)


async def test_a_busy_conversation_is_unavailable_and_not_lost(chat: Chat, servers: Servers) -> None:
    import redis.asyncio

    await chat.say("你好")
    async with redis.asyncio.Redis.from_url(servers.redis) as valkey:
        queue = f"engine:lock:{{{chat.id}}}"
        await valkey.rpush(queue + ":queue", "stuck")
        await valkey.set(queue + ":alive:stuck", "1", px=1500)
        assert await chat.say("谢谢")


async def test_the_log_holds_nobodys_words(chat: Chat, capfd: pytest.CaptureFixture[str]) -> None:
    word = "蓝鲸落地了"
    await chat.say(f"我血小板23，{word}")
    for behaviour in (acting.fail, acting.say_nothing, acting.malformed):
        acting.behave["action_record_report"] = behaviour
        with pytest.raises(TurnAborted):
            await chat.say(f"血小板23 {word}")
    acting.behave["action_record_report"] = acting.reject
    await chat.say(f"血小板23 {word}")
    await asyncio.sleep(0.2)
    written = capfd.readouterr()
    assert "turn aborted" in written.out + written.err
    for forbidden in (word, "病人说的原话", "血小板23"):
        assert forbidden not in written.out + written.err


async def test_a_sentence_is_parsed_without_a_conversation(client: EngineClient) -> None:
    parsed = await client.parse("血小板2.3万，能不能打篮球")
    assert {entity["entity"]: entity["value"] for entity in parsed["entities"]} == {"platelet": 23.0}
    assert parsed["intent_ranking"]
