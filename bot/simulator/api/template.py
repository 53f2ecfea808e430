"""Template messages and subscription notices."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from bot.simulator.api.content import recipient
from bot.simulator.api.gate import Call, shape
from bot.simulator.config import Template
from bot.simulator.errors import Refused
from bot.simulator.history import Channel, Message
from bot.simulator.phone import Phone
from bot.simulator.push import cdata

_IDEMPOTENT = timedelta(minutes=10)
_LINE = re.compile(r"^(.*?)[：:]?\s*\{\{(\w+)\.DATA\}\}", re.MULTILINE)
_KEY = re.compile(r"^([a-z_]+?)\d+$")
# Longest values by the kind of a field's name, as the documentation of subscription messages lists them.
_LONGEST = {
    "thing": 20,
    "number": 32,
    "letter": 32,
    "symbol": 5,
    "character_string": 32,
    "phone_number": 17,
    "car_number": 8,
    "name": 20,
    "phrase": 5,
    "const": 20,
}
_LABELS = {
    "thing": "事项",
    "time": "时间",
    "date": "日期",
    "name": "姓名",
    "phrase": "状态",
    "const": "类别",
    "number": "数量",
    "character_string": "编号",
    "phone_number": "电话",
}


async def send(call: Call) -> dict[str, Any]:
    """Send a template message; how it ended is pushed as TEMPLATESENDJOBFINISH."""
    world = call.world
    given = shape(
        call.body,
        {"touser": str, "template_id": str, "data": dict},
        {"url": str, "miniprogram": dict, "client_msg_id": str, "topcolor": str},
    )
    phone = recipient(call, given["touser"])
    title, fields = _filled(world.config.templates, given["template_id"], given["data"])
    now = world.clock.now()
    key = f"{phone.openid}/{given['client_msg_id']}" if "client_msg_id" in given else ""
    if key:
        before = world.client_msg_ids.get(key)
        if before and now - before[1] < _IDEMPOTENT:
            raise Refused(45065, msgid=before[0])
    msgid = world.next_msg_id()
    status = "failed:user block" if phone.refuses_messages else "success"
    if world.faults.template_status:
        status = world.faults.template_status.pop(0)
    if key:
        world.client_msg_ids[key] = (msgid, now)
    if status == "success":
        phone.receive(
            Message(
                at=now,
                channel=Channel.TEMPLATE,
                kind="template",
                title=title,
                fields=fields,
                url=given.get("url", ""),
            )
        )
    inner = f"<Event>{cdata('TEMPLATESENDJOBFINISH')}</Event><MsgID>{msgid}</MsgID><Status>{cdata(status)}</Status>"
    call.effects.append(lambda: world.push_later(phone, inner))
    return {"errcode": 0, "errmsg": "ok", "msgid": msgid}


async def bizsend(call: Call) -> dict[str, Any]:
    """Send a subscription notice that the person agreed to; one agreement, one notice."""
    world = call.world
    given = shape(
        call.body,
        {"touser": str, "template_id": str, "data": dict},
        {"page": str, "miniprogram": dict},
    )
    phone = recipient(call, given["touser"])
    title, fields = _filled(world.config.templates, given["template_id"], given["data"])
    if phone.notices.get(given["template_id"], 0) < 1:
        raise Refused(43101)
    phone.notices[given["template_id"]] -= 1
    phone.receive(
        Message(
            at=world.clock.now(),
            channel=Channel.NOTICE,
            kind="notice",
            title=title,
            fields=fields,
            url=given.get("page", ""),
        )
    )
    inner = _sent_event(given["template_id"], world.next_msg_id())
    call.effects.append(lambda: _push(call, phone, inner))
    return {"errcode": 0, "errmsg": "ok"}


async def private_templates(call: Call) -> dict[str, Any]:
    """The templates that the account may use."""
    return {
        "template_list": [
            {"template_id": t.id, "title": t.title, "content": t.content, "example": ""}
            for t in call.world.config.templates or ()
        ]
    }


def _push(call: Call, phone: Phone, inner: str) -> None:
    call.world.push_later(phone, inner)


def _sent_event(template_id: str, msgid: int) -> str:
    return (
        f"<Event>{cdata('subscribe_msg_sent_event')}</Event><SubscribeMsgSentEvent><List><TemplateId>"
        f"{cdata(template_id)}</TemplateId><MsgID>{msgid}</MsgID><ErrorCode>0</ErrorCode>"
        f"<ErrorStatus>{cdata('success')}</ErrorStatus></List></SubscribeMsgSentEvent>"
    )


def _filled(
    templates: tuple[Template, ...] | None, template_id: str, data: dict[str, Any]
) -> tuple[str, list[tuple[str, str]]]:
    """Title and labelled values.

    Raises:
        Refused: 40037 no such template, 47003 a value that is missing, empty or too long for its kind.
    """
    values = {key: _value(key, given) for key, given in data.items()}
    if templates is None:
        if not template_id:
            raise Refused(40037)
        if not values:
            raise Refused(47003, "data is empty")
        return "服务通知", [(_label(key), value) for key, value in values.items()]
    template = next((t for t in templates if t.id == template_id), None)
    if template is None:
        raise Refused(40037)
    lines = _LINE.findall(template.content)
    for _, key in lines:
        if key not in values:
            raise Refused(47003, f"data.{key}.value is empty")
    return template.title, [(label.strip(), values[key]) for label, key in lines]


def _value(key: str, given: Any) -> str:
    value: str = shape(given, {"value": str}, {"color": str}, where=f"data.{key}.")["value"]
    if not value.strip():
        raise Refused(47003, f"data.{key}.value is empty")
    kind = _KEY.match(key)
    if kind and len(value) > _LONGEST.get(kind[1], len(value)):
        raise Refused(47003, f"data.{key}.value invalid")
    return value


def _label(key: str) -> str:
    kind = _KEY.match(key)
    return _LABELS.get(kind[1], key) if kind else key
