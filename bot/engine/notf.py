"""Keeps packages out of the engine's process that it imports but never needs.

`rasa run` imports TensorFlow whatever config.yml says (the policies' featurisers pull it in), which costs 15 s and
350 MB; it is not even installed here. Serving also imports connectors of other messengers, plotting and cloud
storage. A finder placed before `import rasa` answers for those names with inert modules: any attribute of them is an
empty class that can be subclassed, subscripted and used as a decorator, which is all that Rasa does with them at
import time.

`install` must run before `rasa` is imported.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import Any

TENSORFLOW = frozenset(
    {
        "tensorflow",
        "tensorflow_hub",
        "tensorflow_text",
        "tensorflow_addons",
        "keras",
        "jax",
        "jaxlib",
    }
)

# Other messengers, brokers, stores, plotting, training: imported when Rasa serves, used by nothing config.yml may name.
UNUSED_WHEN_SERVING = frozenset(
    {
        "aio_pika",
        "aiogram",
        "boto3",
        "botocore",
        "confluent_kafka",
        "fbmessenger",
        "google",
        "joblib",
        "mattermostwrapper",
        "matplotlib",
        "pymongo",
        "questionary",
        "rocketchat_API",
        "scipy",
        "sentry_sdk",
        "sklearn",
        "skops",
        "slack_sdk",
        "socketio",
        "structlog_sentry",
        "twilio",
        "webexteamssdk",
    }
)


class _Inert(type):
    """The class of everything an inert module offers."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Inert(name, (Exception,), {})

    def __getitem__(cls, item: Any) -> Any:
        return cls

    def __or__(cls, other: Any) -> Any:
        return cls

    def __ror__(cls, other: Any) -> Any:
        return cls

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        # As a decorator it gives back what it decorates; anything else it does is nothing.
        if len(args) == 1 and callable(args[0]) and not kwargs:
            return args[0]
        return lambda decorated=None, *_args, **_kwargs: decorated


class _InertModule(types.ModuleType):
    __path__: Sequence[str] = []
    __version__ = "2.12.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # Exceptions, so that an `except` clause naming one of them stays a legal clause that never matches.
        value = _Inert(name, (Exception,), {})
        setattr(self, name, value)
        return value


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, blocked: set[str]) -> None:
        self.blocked = blocked

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] in self.blocked:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _InertModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


def install(*, serving: bool) -> None:
    """Answer for TensorFlow and, when `serving`, for the other packages no answer ever needs.

    Raises:
        RuntimeError: when `rasa` is imported already, because then it is too late.
    """
    if "rasa" in sys.modules:
        raise RuntimeError("bot.engine.notf must be installed before rasa is imported")
    blocked = set(TENSORFLOW)
    if serving:
        blocked |= UNUSED_WHEN_SERVING
    sys.meta_path.insert(0, _Finder(blocked))
