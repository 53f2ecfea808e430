"""Red flags: a message, what came before it and the record in; a level, the reasons and the advice out. Pure."""

from bot.care.triage.advice import Advice, text
from bot.care.triage.judge import safe_triage, triage
from bot.care.triage.rulebook import rulebook
from bot.care.triage.verdict import AdviceId, Facts, FlagLevel, Hit, Need, Verdict

__all__ = [
    "Advice",
    "AdviceId",
    "Facts",
    "FlagLevel",
    "Hit",
    "Need",
    "Verdict",
    "rulebook",
    "safe_triage",
    "text",
    "triage",
]
