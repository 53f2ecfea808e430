"""What a person wants: intent, topic of a general question, platelet counts. Small linear models, numpy alone to serve.

Words (jieba with the medical lexicon), pairs of words and character 1- to 3-grams as tf-idf; one logistic regression
over the intents, one over the topics of `faq`. Two steps, because one model over everything gave the dozens of small
topics together more weight than any other intent, and sent half as many questions again that are for the doctor to
the FAQ (docs/decisions/0002).

Where a general question and a question for the doctor are near, it is for the doctor (`caution`). Below `threshold` the
intent is `nlu_fallback`. The topic leaves as Rasa's `response_selector` output. Numbers are folded to one sign for the
models; their values are read by `bot.language.counts`.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from bot.language import counts, normal, words

FALLBACK = "nlu_fallback"
RETRIEVAL = "faq"
FOR_THE_DOCTOR = "ask_doctor"
_RANKED = 4
_SHANGHAI = timezone(timedelta(hours=8))
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_FORMAT = 2
_ARRAYS = ("idf", "intent_weights", "intent_bias", "topic_weights", "topic_bias")

State = dict[str, Any]


class OtherDictionary(Exception):
    """The model was trained with another lexicon than the one installed: its weights mean other words."""


def features(text: str, ngrams: Sequence[int]) -> dict[str, int]:
    """Counts of words (`w:`), pairs of words (`p:`) and character n-grams (`c:`) of a message."""
    plain = _NUMBER.sub("#", normal.normalise(text))
    found: dict[str, int] = {}
    before = "^"
    for word in words.cut(plain):
        for name in ("w:" + word.text, "p:" + before + "|" + word.text):
            found[name] = found.get(name, 0) + 1
        before = word.text
    framed = "^" + plain + "$"
    for length in range(ngrams[0], ngrams[1] + 1):
        for start in range(len(framed) - length + 1):
            name = "c:" + framed[start : start + length]
            found[name] = found.get(name, 0) + 1
    return found


def vector(text: str, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Columns and tf-idf weights (unit length) of the known features; both empty when nothing is known."""
    vocabulary = state["vocabulary"]
    columns, weights = [], []
    for name, count in features(text, state["ngrams"]).items():
        column = vocabulary.get(name)
        if column is not None:
            columns.append(column)
            weights.append(1.0 + np.log(count))
    at = np.asarray(columns, dtype=np.int64)
    values = np.asarray(weights, dtype=np.float32) * state["idf"][at] if columns else np.zeros(0, dtype=np.float32)
    norm = float(np.sqrt((values * values).sum()))
    return at, values / norm if norm else values


def probabilities(text: str, state: State) -> tuple[np.ndarray, np.ndarray]:
    """One probability an intent and one a topic, in the order of `state["intents"]` and `state["topics"]`."""
    columns, values = vector(text, state)
    intents = np.exp(_scores(columns, values, state, "intent"))
    topics = 1.0 / (1.0 + np.exp(-_scores(columns, values, state, "topic")))
    return intents / max(intents.sum(), 1e-9), topics / max(topics.sum(), 1e-9)


def _scores(columns: np.ndarray, values: np.ndarray, state: State, which: str) -> np.ndarray:
    bias = state[which + "_bias"]
    scores = bias + values @ state[which + "_weights"][columns] if len(columns) else bias.copy()
    return np.clip(scores, -50.0, 50.0)


def fit(texts: Sequence[str], labels: Sequence[str], *, ngrams: Sequence[int], c: float) -> State:
    """Train on labels `intent` and `faq/topic`; scikit-learn is needed here alone."""
    from scipy.sparse import csr_matrix

    documents = [features(text, ngrams) for text in texts]
    seen: dict[str, int] = {}
    for document in documents:
        for name in document:
            seen[name] = seen.get(name, 0) + 1
    # A feature of one example alone teaches that example by heart, except for words, which carry a topic's own term.
    names = sorted(name for name, times in seen.items() if times > 1 or name.startswith("w:"))
    state: State = {
        "vocabulary": {name: column for column, name in enumerate(names)},
        "idf": np.asarray([np.log((1 + len(texts)) / (1 + seen[name])) + 1 for name in names], dtype=np.float32),
        "ngrams": list(ngrams),
    }
    rows, columns, values = [], [], []
    for row, text in enumerate(texts):
        at, weights = vector(text, state)
        rows += [row] * len(at)
        columns += at.tolist()
        values += weights.tolist()
    matrix = csr_matrix((values, (rows, columns)), shape=(len(texts), len(names)), dtype=np.float64)
    asked = [row for row, label in enumerate(labels) if label.startswith(RETRIEVAL + "/")]
    _learn(state, "intent", matrix, [label.partition("/")[0] for label in labels], c)
    _learn(state, "topic", matrix[asked], [labels[row] for row in asked], c)
    return state


def _learn(state: State, which: str, matrix: Any, labels: Sequence[str], c: float) -> None:
    """Add `<which>s` (class names), `<which>_weights` (features x classes) and `<which>_bias`."""
    from sklearn.linear_model import LogisticRegression

    classes = sorted(set(labels))
    weights = np.zeros((len(state["idf"]), len(classes)), dtype=np.float32)
    bias = np.zeros(len(classes), dtype=np.float32)
    if len(classes) > 1:
        # Dozens of topics as one model took 4 s instead of 0.3 s and were no better; intents as separate ones sent more
        # of the doctor's questions to the FAQ.
        kind = {"multi_class": "multinomial"} if which == "intent" else {"multi_class": "ovr", "solver": "liblinear"}
        model = LogisticRegression(C=c, max_iter=300, class_weight="balanced", tol=1e-2, random_state=0, **kind)
        model.fit(matrix, list(labels))
        classes = [str(name) for name in model.classes_]
        coefficients, intercepts = model.coef_, model.intercept_
        if len(classes) == 2:
            coefficients, intercepts = np.vstack([-coefficients[0], coefficients[0]]), np.r_[-intercepts, intercepts]
        # scikit-learn's coefficients are Fortran-ordered; a row a feature is what serving gathers.
        weights = np.ascontiguousarray(coefficients.T.astype(np.float32))
        bias = np.ascontiguousarray(intercepts.astype(np.float32))
    state[which + "s"] = classes
    state[which + "_weights"] = weights
    state[which + "_bias"] = bias


def judge(text: str, state: State, threshold: float, caution: float) -> dict[str, Any]:
    """Intent, ranking and topics of a message as Rasa's message attributes."""
    intents, topics = probabilities(text, state)
    ranking = [
        {"name": name, "confidence": round(chance, 4)}
        for name, chance in sorted(zip(state["intents"], intents.tolist(), strict=True), key=lambda item: -item[1])
    ][:_RANKED]
    if ranking[0]["name"] == RETRIEVAL:
        cautious = [entry for entry in ranking if entry["name"] == FOR_THE_DOCTOR and entry["confidence"] >= caution]
        ranking = cautious + [entry for entry in ranking if entry not in cautious]
    best = ranking[0]["confidence"]
    if best < threshold or not _any_word_known(text, state):
        ranking.insert(0, {"name": FALLBACK, "confidence": round(1.0 - best, 4)})
    attributes = {"intent": ranking[0], "intent_ranking": ranking[:_RANKED]}
    if len(topics):
        attributes["response_selector"] = _selected(state["topics"], topics)
    return attributes


def _any_word_known(text: str, state: State) -> bool:
    """Whether there is anything to judge by; without, the classes' bias alone would decide."""
    return any(name.startswith("w:") and name in state["vocabulary"] for name in features(text, state["ngrams"]))


def _selected(names: Sequence[str], chances: np.ndarray) -> dict[str, Any]:
    best = np.argsort(-chances)[:_RANKED]
    ranking = [{"intent_response_key": names[at], "confidence": round(float(chances[at]), 4)} for at in best]
    response = {**ranking[0], "responses": [], "utter_action": "utter_" + ranking[0]["intent_response_key"]}
    return {"all_retrieval_intents": [RETRIEVAL], RETRIEVAL: {"response": response, "ranking": ranking}}


def platelets(text: str) -> list[dict[str, Any]]:
    """Platelet counts (10⁹/L) as entities, with offsets into what was typed; ranges and the like have none."""
    today = datetime.now(_SHANGHAI).date()
    return [
        {
            "entity": "platelet",
            "start": reading.start,
            "end": reading.end,
            "value": reading.value,
            "confidence_entity": 0.5 if reading.needs_confirmation else 1.0,
            "extractor": "Understanding",
        }
        for reading in counts.read_counts(text, today=today)
        if reading.value is not None
    ]


@DefaultV1Recipe.register(
    [
        DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER,
        DefaultV1Recipe.ComponentType.ENTITY_EXTRACTOR,
    ],
    is_trainable=True,
)
class Understanding(GraphComponent, IntentClassifier):
    """`- name: bot.engine.understanding.Understanding` in config.yml: `ngrams`, `threshold`, `caution`, `C`."""

    def __init__(
        self,
        config: dict[str, Any],
        storage: ModelStorage,
        resource: Resource,
        state: State | None = None,
    ) -> None:
        self._config, self._storage, self._resource, self._state = (
            config,
            storage,
            resource,
            state,
        )

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """N-grams from, to; fallback below `threshold`; for the doctor from `caution` on; strength of the fit."""
        return {"ngrams": [1, 3], "threshold": 0.3, "caution": 0.4, "C": 20.0}

    @staticmethod
    def required_packages() -> list[str]:
        """Serving needs numpy and jieba."""
        return ["numpy", "jieba"]

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str | None:
        """What the weights depend on beside this class: the lexicon and the functions that make features."""
        parts = [
            words.dictionary_hash(),
            *(inspect.getsource(part) for part in (normal, words, features, vector, fit, _learn)),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> "Understanding":
        """Untrained."""
        return cls(config, model_storage, resource)

    def train(self, training_data: TrainingData) -> Resource:
        """Fit and write `weights.npz` (plain arrays) and `model.json`."""
        examples = [example for example in training_data.intent_examples if example.get("text")]
        labels = [example.get("intent_response_key") or example.get("intent") for example in examples]
        state = fit(
            [example.get("text") for example in examples],
            labels,
            ngrams=self._config["ngrams"],
            c=self._config["C"],
        )
        with self._storage.write_to(self._resource) as directory:
            arrays = {name: state[name] for name in _ARRAYS}
            np.savez_compressed(directory / "weights.npz", **arrays)
            model = {
                "format": _FORMAT,
                "dictionary": words.dictionary_hash(),
                "intents": state["intents"],
                "topics": state["topics"],
                "ngrams": state["ngrams"],
                "vocabulary": sorted(state["vocabulary"], key=state["vocabulary"].__getitem__),
            }
            (directory / "model.json").write_text(json.dumps(model, ensure_ascii=False), "utf8")
        self._state = state
        return self._resource

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> "Understanding":
        """Read a trained model.

        Raises:
            OtherDictionary: the installed lexicon is not the one it was trained with.
        """
        with model_storage.read_from(resource) as directory:
            model = json.loads((directory / "model.json").read_text("utf8"))
            with np.load(directory / "weights.npz", allow_pickle=False) as arrays:
                state: State = {name: np.ascontiguousarray(arrays[name]) for name in _ARRAYS}
        if model["format"] != _FORMAT or model["dictionary"] != words.dictionary_hash():
            raise OtherDictionary("the model was trained with another lexicon, train again")
        state.update(intents=model["intents"], topics=model["topics"], ngrams=model["ngrams"])
        state["vocabulary"] = {name: column for column, name in enumerate(model["vocabulary"])}
        probabilities("你好", state)  # loads jieba's dictionary now instead of in the first answer
        return cls(config, model_storage, resource, state)

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Nothing later in the pipeline learns from this component."""
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        """Add intent, ranking, topics and platelet counts."""
        if self._state is None:
            raise RuntimeError("not trained")
        for message in messages:
            text = message.get("text") or ""
            for name, value in judge(text, self._state, self._config["threshold"], self._config["caution"]).items():
                message.set(name, value, add_to_output=True)
            entities = message.get("entities", []) + platelets(text)
            message.set("entities", entities, add_to_output=True)
        return messages
