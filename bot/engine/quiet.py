"""Logs of the engine's process without patients' words.

Rasa puts texts, slots and whole events into its log calls, and texts of failed requests into exceptions. So nothing
is trusted: of structured entries only the event's name, plain numbers and a few named keys are kept; of classic
entries the message shortened; of exceptions the chain of types and where they were raised, never what they say. One
JSON object a line goes to stdout, where the supervisor reads it.
"""

import json
import logging
import sys
import time
from types import TracebackType
from typing import Any

_KEPT = frozenset({"event", "level", "action", "error", "trace", "url", "model"})
_LONGEST = 300


def failure(error: BaseException | None) -> str:
    """The types of an exception and of its causes with the place each was raised, and nothing of their messages."""
    parts: list[str] = []
    while error is not None and len(parts) < 5:
        parts.append(type(error).__name__ + _place(error.__traceback__))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " < ".join(parts)


def _place(traceback: TracebackType | None) -> str:
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    name = traceback.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"@{name}:{traceback.tb_lineno}"


def scrub(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A structlog processor: keep names and numbers, drop everything that can hold text of a person."""
    kept = {key: value for key, value in event.items() if key in _KEPT or isinstance(value, (bool, int, float))}
    if event.get("exc_info"):
        error = event["exc_info"]
        kept["error"] = failure(error if isinstance(error, BaseException) else sys.exc_info()[1])
    kept.pop("exc_info", None)
    return kept


class _Line(logging.Formatter):
    """One JSON object for each record; an exception is reduced to types and places."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": round(time.time(), 3),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if isinstance(record.msg, dict):
            line.update(record.msg)
        else:
            message = record.getMessage()
            line["event"] = message if len(message) <= _LONGEST else message[:_LONGEST] + "…"
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = failure(record.exc_info[1])
            # Callers of logger.exception like to put the exception into the message as well.
            line["event"] = str(line.get("event", "")).partition(":")[0].partition("'")[0]
        return json.dumps(line, ensure_ascii=False, default=str)


def _structured(_logger: Any, _method: str, event: dict[str, Any]) -> Any:
    return ((event,), {})


def install() -> None:
    """Take over structlog and the root logger. Rasa's own set-up is replaced in `patches`, so that this stays."""
    import structlog

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Line())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("apscheduler", "asyncio", "sanic.access", "sanic.root", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Rasa's own warnings can quote a message; libraries' deprecations concern nobody here.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            scrub,
            _structured,
        ],
        context_class=dict,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
