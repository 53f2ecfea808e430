"""Templates as an official account has them: an id, and the names its fields carry there.

WeChat's library names fields by kind and number (`thing1`, `time2`) and refuses values that are too long for the kind. A
setting therefore holds the id and, where the names differ from ours, which of ours fills which: `ID level=phrase1
reason=thing2 time=time3`. Fields that are not named are then left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_LONGEST = {"thing": 20, "phrase": 5, "character_string": 32, "number": 32, "letter": 32, "symbol": 5, "name": 10}
_OF_ANY_KIND = 200
_KIND = re.compile(r"\d+$")


@dataclass(frozen=True, slots=True)
class Template:
    """One template of the account.

    >>> Template.parse("abc level=phrase1 reason=thing2").fill({"level": "紧急", "reason": "头痛" * 15, "time": "x"})
    {'phrase1': '紧急', 'thing2': '头痛头痛头痛头痛头痛头痛头痛头痛头痛头…'}
    """

    template_id: str
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, setting: str) -> "Template":
        """From a setting: the id, then pairs `ours=theirs`."""
        template_id, *pairs = setting.split()
        return cls(template_id, dict(pair.split("=", 1) for pair in pairs))

    def fill(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Our fields under the template's names, cut to what each kind takes."""
        named = {self.names[name]: value for name, value in fields.items() if name in self.names}
        return {name: _cut(value, name) for name, value in (named if self.names else dict(fields)).items()}


def _cut(value: str, name: str) -> str:
    longest = _LONGEST.get(_KIND.sub("", name), _OF_ANY_KIND)
    return value if len(value) <= longest else value[: longest - 1] + "…"
