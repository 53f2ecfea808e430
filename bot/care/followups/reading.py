"""Reading the answers of a check-in. Pure. An answer that is not understood is asked again, never guessed."""

import re
from typing import Any

from bot.care.followups.answers import read_answer

_NOT_MEASURED = re.compile(r"没查|没有查|还没|没测|未查|不知道|没去|忘了|没验|没抽|跳过|没做")
_NONE = re.compile(
    r"^(没有?|无|都没有|没啥|没出血|没有出血|没有了|一切正常|都好|挺好|正常|不出血)[。!！~,，了啊呀的]*$"
)
_ORGAN = re.compile(r"黑便|便血|拉血|尿血|血尿|呕血|吐血|咯血|咳血|大便.{0,3}[黑血]|小便.{0,3}红")
_MUCOSA = re.compile(
    r"鼻血|鼻子.{0,4}血|流鼻|牙龈|牙出血|牙.{0,4}血|口腔|嘴.{0,4}血|血泡|血疱|月经.{0,6}多|例假.{0,6}多|姨妈.{0,6}多|眼.{0,3}[红血]"
)
_SKIN = re.compile(r"瘀斑|瘀点|出血点|红点|青紫|乌青|淤青|紫斑|青一块")
_SOME = re.compile(r"有|流|出血|一点|少量|几个|渗")


def read_platelet(text: str) -> dict[str, Any] | None:
    """`{"value": 10⁹/L, "typed": …}`; value None when it was not measured; None when it cannot be understood.

    >>> read_platelet("没查")
    {'value': None, 'typed': '没查'}
    """
    reading = read_answer(text)
    if reading is not None and reading.value is not None and not reading.ambiguous:
        value = reading.lowest if reading.needs_confirmation else reading.value
        return {"value": float(value), "typed": text, "confirmed": not reading.needs_confirmation}
    if _NOT_MEASURED.search(text):
        return {"value": None, "typed": text}
    return None


def read_bleeding(text: str, *, strict: bool = False) -> dict[str, Any] | None:
    """`{"code": none|skin|mucosa|organ|unclear, "typed": …}`; with `strict` None when it says nothing of bleeding.

    >>> read_bleeding("没有")["code"], read_bleeding("早上流鼻血")["code"]
    ('none', 'mucosa')
    """
    said = text.strip()
    for code, pattern in (("none", _NONE), ("organ", _ORGAN), ("mucosa", _MUCOSA), ("skin", _SKIN)):
        if pattern.search(said):
            return {"code": code, "typed": said}
    if strict and not _SOME.search(said):
        return None
    return {"code": "unclear", "typed": said}
