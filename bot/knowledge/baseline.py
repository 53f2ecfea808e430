"""The baseline of the knowledge: the FAQ topics of `data/faq/`, read and checked.

It is what a new installation starts from; after the first import the database is the source. Facts and answer classes
follow the clinical brief's list of topics; every topic names its sources by the codes of `data/faq/sources.yml`.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

FAQ_FOLDER = Path(__file__).resolve().parents[2] / "data" / "faq"

CLOSING_LINE = "这是科普，不代替医生的诊断和治疗。"
"""What every answered (not refused) topic ends with when it is sent to a patient."""

LONGEST_MESSAGE = 150
"""Characters of one message in the chat, the closing line included, before its link."""

type AnswerClass = Literal["A", "AD", "N"]
"""A: answered. AD: answered with the advice to ask a doctor. N: refused and handed to a doctor."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class BaselineError(Exception):
    """A file of the baseline is not what it should be; the text names the file, the topic and what is wrong."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Theme(_Strict):
    """A field of questions; topics belong to one or more."""

    id: Name
    name: Text


class Source(_Strict):
    """What a source's code stands for, as readers are shown it."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9-]*$")]
    citation: Text


class Topic(_Strict):
    """One thing patients ask, with its draft answer.

    `short` is sent in the chat (plain text), `full` is Markdown for the page behind the link (200 to 500 characters).
    `must_not_say` tells editors and reviewers what no wording of this topic may say.
    """

    topic: Name
    themes: Annotated[tuple[Name, ...], Field(min_length=1)]
    title: Annotated[Text, StringConstraints(max_length=40)]
    answer_class: AnswerClass
    short: Text
    full: Annotated[Text, StringConstraints(min_length=200, max_length=500)]
    must_not_say: Annotated[tuple[Text, ...], Field(min_length=1)]
    sources: Annotated[tuple[Text, ...], Field(min_length=1)]
    status: Literal["draft"]
    valid_until: date

    @property
    def refuses(self) -> bool:
        """Whether the answer is a refusal that hands over to a doctor."""
        return self.answer_class == "N"

    @property
    def message(self) -> str:
        """`short` as a patient reads it: closed by the fixed line unless it is a refusal.

        >>> next(topic for topic in load_topics() if topic.topic == "sport").message.endswith(CLOSING_LINE)
        True
        """
        return self.short if self.refuses else f"{self.short}\n{CLOSING_LINE}"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (length := len(self.message)) > LONGEST_MESSAGE:
            raise ValueError(f"short is {length} characters with its closing line, {LONGEST_MESSAGE} are allowed")
        for words in self.must_not_say:
            if words in self.short or words in self.full:
                raise ValueError(f"says what it must not: {words}")
        for field in ("themes", "sources"):
            if twice := _repeated(getattr(self, field)):
                raise ValueError(f"{field} names {twice} twice")
        return self


def load_themes(folder: Path = FAQ_FOLDER) -> tuple[Theme, ...]:
    """The themes, in the order in which they are shown.

    Raises:
        BaselineError: a file is missing or not what it should be.
    """
    themes = _read(folder / "themes.yml", TypeAdapter(tuple[Theme, ...]))
    if twice := _repeated(theme.id for theme in themes):
        raise BaselineError(f"themes.yml: {twice} stands twice")
    return themes


def load_sources(folder: Path = FAQ_FOLDER) -> dict[str, Source]:
    """The sources by their code.

    Raises:
        BaselineError: a file is missing or not what it should be.
    """
    sources = _read(folder / "sources.yml", TypeAdapter(tuple[Source, ...]))
    if twice := _repeated(source.code for source in sources):
        raise BaselineError(f"sources.yml: {twice} stands twice")
    return {source.code: source for source in sources}


def load_topics(folder: Path = FAQ_FOLDER) -> tuple[Topic, ...]:
    """Every topic, sorted by id.

    Raises:
        BaselineError: a file does not parse, a field is unknown, missing or too long, a theme or source is not listed,
            or a topic stands twice.
    """
    themes = {theme.id for theme in load_themes(folder)}
    sources = load_sources(folder)
    topics: dict[str, Topic] = {}
    for path in sorted(folder.glob("*.yml")):
        if path.name in {"themes.yml", "sources.yml"}:
            continue
        for topic in _read(path, TypeAdapter(tuple[Topic, ...])):
            if topic.topic in topics:
                raise BaselineError(f"{path.name}: {topic.topic} stands twice")
            if unknown := sorted(set(topic.themes) - themes):
                raise BaselineError(f"{path.name}: {topic.topic} names unknown themes: {', '.join(unknown)}")
            if unknown := sorted(set(topic.sources) - sources.keys()):
                raise BaselineError(f"{path.name}: {topic.topic} names unknown sources: {', '.join(unknown)}")
            topics[topic.topic] = topic
    return tuple(topics[name] for name in sorted(topics))


def _read[T](path: Path, shape: TypeAdapter[T]) -> T:
    try:
        return shape.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BaselineError(f"{path.name} is missing") from None
    except yaml.YAMLError as error:
        raise BaselineError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BaselineError(f"{path.name}: {wrong}") from None


def _repeated(names: Iterable[str]) -> str | None:
    return next((name for name, times in Counter(names).items() if times > 1), None)
