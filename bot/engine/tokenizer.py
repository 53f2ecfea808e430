"""The words of a message as Rasa's tokens, cut with the same jieba and lexicon as everywhere else in the product.

Rasa's own JiebaTokenizer uses jieba's process-wide dictionary, where the words of an old model stay after a swap and a
missing dictionary directory is silently no dictionary.
"""

from typing import Any

from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.nlu.tokenizers.tokenizer import Token, Tokenizer
from rasa.shared.nlu.training_data.message import Message

from bot.language import normal, words


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_TOKENIZER, is_trainable=False)
class WordTokenizer(Tokenizer):
    """`- name: bot.engine.tokenizer.WordTokenizer` in config.yml; stock featurisers and classifiers may follow it."""

    @staticmethod
    def supported_languages() -> list[str] | None:
        """Chinese alone."""
        return ["zh"]

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """What Rasa's Tokenizer expects to find."""
        return {
            "intent_tokenization_flag": False,
            "intent_split_symbol": "_",
            "token_pattern": None,
        }

    @staticmethod
    def required_packages() -> list[str]:
        """jieba cuts."""
        return ["jieba"]

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str | None:
        """Another lexicon is another tokenizer, which the source of this class does not show."""
        return words.dictionary_hash()

    def tokenize(self, message: Message, attribute: str) -> list[Token]:
        """Tokens hold plain words (simplified, lower case) and offsets into what was typed."""
        plain = normal.normalise_keeping_offsets(message.get(attribute))
        tokens = []
        for word in words.cut(plain.text):
            start, end = plain.original(word.start, word.end)
            tokens.append(Token(word.text, start, end))
        return self._apply_token_pattern(tokens)
