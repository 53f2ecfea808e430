"""Words of a message, by jieba with a medical lexicon.

The tokenizer is our own instance, so that a lexicon loaded elsewhere in the process changes nothing here, and it is
loaded at first use: the rules of triage do without it and are ready before it.
"""

import hashlib
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEXICON = Path(__file__).resolve().parents[2] / "data" / "lexicon"

_lock = threading.RLock()
_tokenizer: Any = None


@dataclass(frozen=True)
class Word:
    """A word and its place in the text: `text[start:end] == word.text`."""

    text: str
    start: int
    end: int


def cut(text: str) -> list[Word]:
    """The words of the text in order, without blanks; each character that is not blank belongs to exactly one word."""
    words = []
    at = 0
    for piece in _loaded().cut(text, HMM=False):
        if not piece.isspace():
            words.append(Word(piece, at, at + len(piece)))
        at += len(piece)
    return _whole_decimals(words)


def _whole_decimals(words: list[Word]) -> list[Word]:
    """「2」「.」「3」 are one number."""
    whole: list[Word] = []
    for word in words:
        joins = len(whole) > 1 and whole[-1].text == "." and whole[-1].end == word.start and word.text.isdigit()
        if joins and whole[-2].text.isdigit() and whole[-2].end == whole[-1].start:
            dot, number = whole.pop(), whole.pop()
            word = Word(number.text + dot.text + word.text, number.start, word.end)
        whole.append(word)
    return whole


def dictionary_hash() -> str:
    """A hash over the lexicon files, to tell whether a trained model and this tokenizer cut alike."""
    digest = hashlib.sha256()
    for path in _lexicon_files():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def lexicon_entries() -> list[str]:
    """All words of the lexicon, in file order."""
    entries = []
    for path in _lexicon_files():
        for line in path.read_text(encoding="utf-8").splitlines():
            word = line.split("#", 1)[0].strip()
            if not word:
                continue
            # A medicine's line holds its generic name, its class and its other names.
            columns = word.split("\t")
            entries.extend([columns[0], *columns[2].split()] if path.suffix == ".tsv" else columns[:1])
    return list(dict.fromkeys(entries))


def _lexicon_files() -> list[Path]:
    return sorted((*LEXICON.glob("*.txt"), *LEXICON.glob("*.tsv")))


def _loaded() -> Any:
    global _tokenizer
    if _tokenizer is None:
        with _lock:
            if _tokenizer is None:
                _tokenizer = _load()
    return _tokenizer


def _load() -> Any:
    with warnings.catch_warnings():
        # jieba 0.42.1 has invalid escapes and asks for pkg_resources; neither concerns us.
        warnings.simplefilter("ignore")
        import jieba  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 (a second to load, at first use)

    tokenizer = jieba.Tokenizer()
    # jieba would unmarshal a cache file of a known name in the shared temporary directory, which any user may have put
    # there; reading its dictionary ourselves leaves no file behind and costs the same second.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    for word in lexicon_entries():
        tokenizer.add_word(word, freq=max(tokenizer.suggest_freq(word, tune=False), 20_000))
    return tokenizer
