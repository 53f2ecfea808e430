"""The launcher's refusals, the logs, the clock, blocked packages, and what leaves the channel."""

import io
import json
import logging
import sys
import tarfile
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import structlog

from bot.engine import channel, clock, launch, notf, quiet

WORDS = "我血小板只有两万三"


def refused(arguments: list[str]) -> str:
    try:
        launch.prepare(arguments)
    except launch.Refused as refusal:
        return str(refusal)
    return ""


def archive(metadata: Any) -> Path:
    path = Path(tempfile.mkdtemp()) / "m.tar.gz"
    content = json.dumps(metadata).encode()
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("metadata.json")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return path


def check_a_model_with_tensorflow_components_is_refused() -> None:
    bad = archive({"train_schema": {"uses": "rasa.nlu.classifiers.diet_classifier.DIETClassifier"}})
    assert "DIETClassifier" in refused(["run", "--model", str(bad)])
    good = archive({"train_schema": {"uses": "bot.engine.understanding.Understanding"}})
    assert launch.prepare(["run", "--model", str(good)]) == ["run", "--model", str(good)]


def check_a_config_with_guessing_policies_is_refused() -> None:
    path = Path(tempfile.mkdtemp()) / "config.yml"
    for name in launch.REFUSED:
        path.write_text(f"policies:\n  - name: {name}\n", "utf8")
        assert name in refused(["train", "-c", str(path)]), name
    path.write_text("# no TEDPolicy here\npolicies:\n  - name: RulePolicy\n", "utf8")
    assert refused(["train", "-c", str(path)]) == ""


def check_the_products_config_is_accepted() -> None:
    assert launch.prepare(["validate", "-c", "config.yml"]) == ["data", "validate", "-c", "config.yml"]


def check_a_file_that_is_no_model_is_refused() -> None:
    path = Path(tempfile.mkdtemp()) / "m.tar.gz"
    path.write_bytes(b"not a model")
    assert "not a trained model" in refused(["run", "--model", str(path)])
    assert "not a trained model" in refused(["run", "--model", str(path) + ".missing"])


def check_verbose_logging_and_other_commands_are_refused() -> None:
    for arguments in (["run", "--debug"], ["run", "-vv"], ["shell"], []):
        assert refused(arguments), arguments


def check_the_environment_turns_telemetry_off() -> None:
    import os

    os.environ["LOG_LEVEL"] = "DEBUG"
    launch.environment()
    assert os.environ["RASA_TELEMETRY_ENABLED"] == "false"
    assert os.environ["LOG_LEVEL"] == "INFO"


def check_tensorflow_is_not_loaded() -> None:
    import rasa.engine.recipes.default_components  # noqa: F401 - imports every component that Rasa has

    for name in ("tensorflow", "scipy", "sklearn", "boto3"):
        module = sys.modules.get(name)
        assert module is None or type(module).__name__ == "_InertModule", name
    try:
        notf.install(serving=True)
    except RuntimeError:
        return
    raise AssertionError("installed after rasa")


def logged(write: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    before, sys.stdout = sys.stdout, stream
    try:
        quiet.install()
        write()
    finally:
        sys.stdout = before
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def check_structured_entries_lose_texts_and_keep_names_and_numbers() -> None:
    def write() -> None:
        structlog.get_logger().error("rest.failure", text=WORDS, slot_values=[WORDS], rasa_event={"a": WORDS}, count=3)

    (line,) = logged(write)
    assert WORDS not in json.dumps(line, ensure_ascii=False)
    assert (line["event"], line["count"], line["level"]) == ("rest.failure", 3, "error")


def check_exceptions_keep_types_and_places_and_lose_words() -> None:
    def write() -> None:
        try:
            try:
                raise ValueError(WORDS)
            except ValueError as cause:
                raise RuntimeError(WORDS) from cause
        except RuntimeError as error:
            logging.getLogger("rasa.core").exception(f"failed: {error}")
            structlog.get_logger().exception("failed.too", text=WORDS)

    plain, structured = logged(write)
    for line in (plain, structured):
        assert WORDS not in json.dumps(line, ensure_ascii=False)
        assert line["error"].startswith("RuntimeError@surroundings.py:")
        assert "ValueError@" in line["error"]


def check_debug_lines_are_not_written() -> None:
    def write() -> None:
        structlog.get_logger().debug("processor.message.parse", parse_data_text=WORDS)
        logging.getLogger("rasa").debug(WORDS)

    assert logged(write) == []


def check_the_shifted_clock_moves_only_the_modules_it_was_given() -> None:
    import rasa.core.lock
    import rasa.core.processor
    import rasa.shared.core.events

    shifted = clock.shift(rasa.core.processor, rasa.shared.core.events)
    try:
        shifted.offset = 5 * 3600.0
        event = rasa.shared.core.events.UserUttered("x")
        assert 17990 < event.timestamp - time.time() < 18010
        assert rasa.core.processor.time.sleep is time.sleep
        assert rasa.core.lock.time is time
    finally:
        rasa.core.processor.time = rasa.shared.core.events.time = time


def check_the_clock_follows_its_row_and_keeps_the_last_value_when_it_is_gone() -> None:
    import os

    import psycopg2

    dsn = os.environ["TEST_POSTGRES"]
    shifted = clock.ShiftedTime()
    follower = clock.Follower(dsn, shifted, every_seconds=0)
    follower.read_once()
    assert shifted.offset == 0.0
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE public.demo_clock (id int PRIMARY KEY, offset_seconds double precision NOT NULL)")
        cursor.execute("INSERT INTO public.demo_clock VALUES (1, 86400)")
    follower.read_once()
    assert shifted.offset == 86400.0
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE public.demo_clock")
    follower.read_once()
    assert shifted.offset == 86400.0


def check_a_module_without_its_own_time_is_refused() -> None:
    try:
        clock.shift(types.ModuleType("other"))
    except RuntimeError:
        return
    raise AssertionError("shifted")


def check_no_text_can_be_a_command() -> None:
    for text in ("/restart", "  /restart", "\u3000/EXTERNAL_checkin{}", "\n/stop"):
        assert channel.harmless(text)[0] == "／", text
    assert channel.harmless(" 1/2 片 ") == "1/2 片"
    assert channel.harmless("   ") == ""
    assert len(channel.harmless("长" * 5000)) == 1000


def check_an_answer_is_one_message_for_each_utterance() -> None:
    import asyncio

    answer = channel.Answer()
    said = {
        "text": "第一段\n\n第二段",
        "buttons": [{"title": "问医生"}],
        "custom": {"a": 1},
        "metadata": {},
        "elements": [],
    }
    asyncio.get_event_loop().run_until_complete(answer.send_response("c", said))
    asyncio.get_event_loop().run_until_complete(answer.send_response("c", {"text": ""}))
    assert answer.messages == [{"text": "第一段\n\n第二段", "buttons": [{"title": "问医生"}], "custom": {"a": 1}}]


def check_a_short_secret_is_refused() -> None:
    for credentials in (None, {}, {"secret": "short"}):
        try:
            channel.AppInput.from_credentials(credentials)
        except ValueError:
            continue
        raise AssertionError(credentials)
