"""Every path of the API that this WeChat answers."""

from __future__ import annotations

from bot.simulator.api import (
    access,
    custom,
    mass,
    media,
    menu,
    oauth,
    people,
    qrcode,
    template,
)
from bot.simulator.api.gate import Endpoint

ENDPOINTS = (
    Endpoint("/cgi-bin/stable_token", "POST", access.stable_token, "json", needs_token=False),
    Endpoint("/cgi-bin/token", "GET", access.token, needs_token=False),
    Endpoint("/cgi-bin/message/custom/send", "POST", custom.send, "json"),
    Endpoint("/cgi-bin/message/custom/typing", "POST", custom.typing, "json"),
    Endpoint("/customservice/kfaccount/add", "POST", custom.add_account, "json"),
    Endpoint("/cgi-bin/customservice/getkflist", "GET", custom.list_accounts),
    Endpoint("/cgi-bin/message/template/send", "POST", template.send, "json"),
    Endpoint("/cgi-bin/template/get_all_private_template", "GET", template.private_templates),
    Endpoint("/cgi-bin/message/subscribe/bizsend", "POST", template.bizsend, "json"),
    Endpoint("/cgi-bin/media/upload", "POST", media.upload, "file"),
    Endpoint("/cgi-bin/media/uploadimg", "POST", media.upload_image, "file"),
    Endpoint("/cgi-bin/media/get", "GET", media.get),
    Endpoint("/cgi-bin/user/info", "GET", people.info),
    Endpoint("/cgi-bin/user/get", "GET", people.followers),
    Endpoint("/cgi-bin/qrcode/create", "POST", qrcode.create, "json"),
    Endpoint("/cgi-bin/menu/create", "POST", menu.create, "json"),
    Endpoint("/cgi-bin/menu/get", "GET", menu.get),
    Endpoint("/cgi-bin/menu/delete", "GET", menu.delete),
    Endpoint("/cgi-bin/message/mass/send", "POST", mass.send, "json"),
    Endpoint("/cgi-bin/message/mass/sendall", "POST", mass.send_all, "json"),
    Endpoint("/sns/oauth2/access_token", "GET", oauth.access_token, needs_token=False),
)
