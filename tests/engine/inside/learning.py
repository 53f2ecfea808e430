"""Understanding and the tokenizer: trained, stored without pickle, loaded, and refused with another lexicon."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from bot.engine import understanding
from bot.engine.tokenizer import WordTokenizer
from bot.engine.understanding import Understanding, fit, judge
from bot.language import words

EXAMPLES = {
    "faq/sport": ["能不能打球", "可以跑步吗", "能游泳吗", "健身可以吗"],
    "faq/diet": ["吃什么好", "饮食注意什么", "红枣有用吗", "要忌口吗"],
    "ask_doctor": ["我要不要加量", "我能停药吗", "艾曲泊帕减半行吗", "帮我看化验单"],
    "greet": ["你好", "您好", "在吗", "早上好"],
}
TEXTS = [text for texts in EXAMPLES.values() for text in texts]
LABELS = [label for label, texts in EXAMPLES.items() for _ in texts]
STATE = fit(TEXTS, LABELS, ngrams=[1, 3], c=20.0)
CONFIG = Understanding.get_default_config()


def component(directory: Path) -> tuple[Understanding, LocalModelStorage]:
    storage = LocalModelStorage(directory)
    return Understanding(CONFIG, storage, Resource("understanding")), storage


def trained() -> tuple[Path, LocalModelStorage]:
    directory = Path(tempfile.mkdtemp())
    learner, storage = component(directory)
    examples = [
        Message.build(text, intent=label.partition("/")[0], intent_metadata=None)
        if "/" not in label
        else Message(data={"text": text, "intent": "faq", "intent_response_key": label})
        for text, label in zip(TEXTS, LABELS, strict=False)
    ]
    learner.train(TrainingData(training_examples=examples))
    return directory, storage


def parsed(understander: Understanding, text: str) -> dict[str, Any]:
    (message,) = understander.process([Message(data={"text": text})])
    return message.as_dict(only_output_properties=True)


def check_a_stored_model_understands_as_the_trained_one_did() -> None:
    _, storage = trained()
    loaded = Understanding.load(CONFIG, storage, Resource("understanding"), None)
    for text in [*TEXTS, "请问能打乒乓球吗", "？？"]:
        assert parsed(loaded, text)["intent"] == judge(text, STATE, CONFIG["threshold"], CONFIG["caution"])["intent"]


def check_the_model_is_plain_arrays_and_json() -> None:
    directory, _ = trained()
    files = sorted(path.name for path in directory.rglob("*") if path.is_file())
    assert files == ["model.json", "weights.npz"]
    with np.load(next(directory.rglob("weights.npz")), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype == np.float32 for name in arrays.files)


def check_a_model_of_another_lexicon_is_refused() -> None:
    directory, storage = trained()
    path = next(directory.rglob("model.json"))
    model = json.loads(path.read_text("utf8"))
    path.write_text(json.dumps({**model, "dictionary": "0" * 64}), "utf8")
    try:
        Understanding.load(CONFIG, storage, Resource("understanding"), None)
    except understanding.OtherDictionary:
        return
    raise AssertionError("loaded")


def check_another_lexicon_is_another_fingerprint() -> None:
    before = Understanding.fingerprint_addon(CONFIG), WordTokenizer.fingerprint_addon({})
    original, words.dictionary_hash = words.dictionary_hash, lambda: "another"
    try:
        after = Understanding.fingerprint_addon(CONFIG), WordTokenizer.fingerprint_addon({})
    finally:
        words.dictionary_hash = original
    assert before[0] != after[0]
    assert before[1] != after[1]


def check_a_topic_is_told_as_response_selector_tells_it() -> None:
    told = judge("能不能打球", STATE, 0.3, 0.4)
    assert told["intent"]["name"] == "faq"
    assert told["response_selector"]["all_retrieval_intents"] == ["faq"]
    assert told["response_selector"]["faq"]["response"]["intent_response_key"] == "faq/sport"
    ranking = told["response_selector"]["faq"]["ranking"]
    assert ranking[0]["confidence"] >= ranking[1]["confidence"]


def check_what_is_not_understood_falls_back() -> None:
    told = judge("qwxz", STATE, 0.9, 0.4)
    assert told["intent"]["name"] == "nlu_fallback"
    assert told["intent_ranking"][1]["name"] in EXAMPLES or told["intent_ranking"][1]["name"] == "faq"


def check_near_a_question_for_the_doctor_it_is_one() -> None:
    text = "艾曲泊帕能不能打球"
    free = judge(text, STATE, 0.0, 1.1)
    chance = {entry["name"]: entry["confidence"] for entry in free["intent_ranking"]}
    assert judge(text, STATE, 0.0, chance["ask_doctor"])["intent"]["name"] == "ask_doctor"
    if free["intent"]["name"] == "faq":
        assert judge(text, STATE, 0.0, chance["ask_doctor"] + 0.01)["intent"]["name"] == "faq"


def check_traditional_and_full_width_writing_is_the_same() -> None:
    assert understanding.features("我能停藥嗎", [1, 3]) == understanding.features("我能停药吗", [1, 3])
    assert understanding.features("血小板２３", [1, 3]) == understanding.features("血小板23", [1, 3])


def check_numbers_are_alike_for_the_model() -> None:
    assert understanding.features("血小板23", [1, 3]) == understanding.features("血小板118.5", [1, 3])


def check_platelet_counts_are_entities_with_their_place() -> None:
    text = "今天血小板２.3万"
    (entity,) = understanding.platelets(text)
    assert entity["value"] == 23.0
    assert "3万" in text[entity["start"] : entity["end"]]


def check_a_small_answer_is_stored_for_each_message() -> None:
    assert len(json.dumps(judge("能不能打球", STATE, 0.3, 0.4), ensure_ascii=False)) < 1500


def check_tokens_point_into_what_was_typed() -> None:
    tokenizer = WordTokenizer.create(WordTokenizer.get_default_config(), None, None, None)
    text = "艾曲泊帕５０ｍｇ，頭疼"
    (message,) = tokenizer.process([Message(data={"text": text})])
    tokens = message.get("text_tokens")
    assert tokens[0].text == "艾曲泊帕"
    assert [text[token.start : token.end] for token in tokens][-1] in ("頭疼", "疼")
    assert all(0 <= token.start < token.end <= len(text) for token in tokens)


def check_one_intent_alone_can_be_learned() -> None:
    state = fit(["能打球吗", "能跑步吗"], ["faq/sport", "faq/sport"], ngrams=[1, 2], c=1.0)
    assert judge("能打球吗", state, 0.3, 0.4)["intent"]["name"] == "faq"
