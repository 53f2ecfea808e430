"""The model is trained once for its inputs, and again when they change."""

import shutil
import time
from pathlib import Path

import pytest
import yaml
from dialogue_stage import ENGINE_PYTHON, ROOT

from bot.dialogue import training


async def test_the_second_time_is_instant(project: Path, model: Path) -> None:
    said: list[str] = []
    started = time.perf_counter()
    assert await training.ensure_model(ENGINE_PYTHON, root=project, say=said.append) == model
    assert time.perf_counter() - started < 1
    assert said == []


def test_the_fingerprint_follows_phrases_rules_lexicon_and_language_and_not_texts(
    project: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("models", "__pycache__"))
    before = training.fingerprint(copy)
    assert before == training.fingerprint(project)
    (copy / "data" / "faq").mkdir(exist_ok=True)
    (copy / "data" / "faq" / "basics.yml").write_text("x: 1\n", encoding="utf-8")
    (copy / "bot" / "engine" / "channel.py").write_text("# other\n", encoding="utf-8")
    assert training.fingerprint(copy) == before
    seen = {before}
    for name in ("data/nlu/ask_doctor.yml", "data/rules/rules.yml", "bot/language/normal.py", "domain.yml"):
        path = copy / name
        path.write_text(path.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
        seen.add(training.fingerprint(copy))
    (copy / "data" / "lexicon" / "more.txt").write_text("新词\n", encoding="utf-8")
    seen.add(training.fingerprint(copy))
    assert len(seen) == 6


async def test_contradicting_rules_fail_the_training_with_their_names(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("models", "__pycache__"))
    contradiction = {
        "version": "3.1",
        "rules": [{"rule": "another greeting", "steps": [{"intent": "greet"}, {"action": "utter_help"}]}],
    }
    (copy / "data" / "rules" / "more.yml").write_text(yaml.safe_dump(contradiction), encoding="utf-8")
    for path in (copy / "data" / "nlu").glob("faq_*.yml"):
        path.unlink()
    with pytest.raises(training.TrainingFailed, match="another greeting"):
        await training.ensure_model(ENGINE_PYTHON, root=copy, models=tmp_path / "models", say=lambda _: None)
    assert not list((tmp_path / "models").glob("*.tar.gz"))


async def test_the_data_pass_the_engines_own_validation(project: Path) -> None:
    lines = await training.validate(ENGINE_PYTHON, root=project)
    complaints = [line for line in lines if "not listed in the domain" in line or "Contradict" in line]
    assert complaints == []


def phrases() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in (ROOT / "data" / "nlu").glob("*.yml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["nlu"]:
            examples = entry["examples"]
            texts = (
                [line.removeprefix("- ") for line in examples.splitlines()]
                if isinstance(examples, str)
                else [example["text"].removeprefix("- ") for example in examples]
            )
            found.setdefault(entry["intent"].partition("/")[0], []).extend(text.strip() for text in texts)
    return found


def test_every_intent_has_phrases_enough_and_none_twice() -> None:
    found = phrases()
    named = yaml.safe_load((ROOT / "domain.yml").read_text(encoding="utf-8"))["intents"]
    intents = {next(iter(entry)) if isinstance(entry, dict) else entry for entry in named}
    learned = {name for name in intents if name not in ("nlu_fallback",) and not name.startswith("EXTERNAL_")}
    assert set(found) == learned
    few = {name: len(texts) for name, texts in found.items() if len(texts) < (120 if name == "ask_doctor" else 30)}
    assert few == {}
    everything = [text for texts in found.values() for text in texts]
    assert sorted({text for text in everything if everything.count(text) > 1}) == []
