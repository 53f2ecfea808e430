"""Every message type and event as one value, hostile XML, and the passive reply."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.wechat.messages import MAX_TEXT_BYTES, Inbound, parse, shorten, text_reply
from bot.wechat.refusal import Refused

from .other_side import WeChatSide

Read = Callable[..., Inbound]

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def reason(xml: str | bytes) -> str:
    with pytest.raises(Refused) as refused:
        parse(xml.encode() if isinstance(xml, str) else xml)
    return refused.value.reason


@pytest.fixture
def read(wechat: WeChatSide) -> Read:
    def read_one(msg_type: str = "text", **fields: str) -> Inbound:
        return parse(wechat.xml(msg_type, **fields).encode())

    return read_one


def inside(xml: str) -> dict[str, str]:
    return {child.tag: child.text or "" for child in ElementTree.fromstring(xml)}


def test_a_text_has_sender_receiver_time_and_words(read: Read, wechat: WeChatSide) -> None:
    inbound = read(Content="血小板低能不能打篮球", CreateTime="1714036504")
    assert (inbound.kind, inbound.known, inbound.event) == ("text", True, "")
    assert (inbound.openid, inbound.account) == (wechat.openid, wechat.account)
    assert inbound.created_at == datetime(2024, 4, 25, 9, 15, 4, tzinfo=UTC)
    assert inbound.msg_id == "23456789012345678"
    assert (inbound.text, inbound.menu_id) == ("血小板低能不能打篮球", "")


def test_a_tap_on_an_in_message_menu_is_a_text_with_its_id(read: Read) -> None:
    inbound = read(Content="很急", bizmsgmenuid="urgent-7")
    assert (inbound.kind, inbound.text, inbound.menu_id) == ("text", "很急", "urgent-7")


def test_an_image_has_its_media_id_and_address(read: Read) -> None:
    inbound = read("image", MediaId="media-1", PicUrl="http://mmbiz.example/1")
    assert (inbound.kind, inbound.media_id, inbound.pic_url) == ("image", "media-1", "http://mmbiz.example/1")


def test_a_voice_message_has_no_words_even_where_recognition_is_sent(read: Read) -> None:
    inbound = read("voice", MediaId="media-2", Format="amr", Recognition="")
    assert (inbound.kind, inbound.media_id, inbound.media_format, inbound.text) == ("voice", "media-2", "amr", "")


@pytest.mark.parametrize("kind", ["video", "shortvideo"])
def test_a_video_has_its_media_id_and_thumbnail(kind: str, read: Read) -> None:
    inbound = read(kind, MediaId="media-3", ThumbMediaId="thumb-3")
    assert (inbound.kind, inbound.media_id, inbound.thumb_media_id) == (kind, "media-3", "thumb-3")


def test_a_location_has_degrees_and_a_name(read: Read) -> None:
    inbound = read("location", Location_X="39.915", Location_Y="116.404", Scale="16", Label="北京协和医院")
    assert (inbound.latitude, inbound.longitude, inbound.place) == (39.915, 116.404, "北京协和医院")
    assert inbound.extras["Scale"] == "16"


@pytest.mark.parametrize("wrong", ["", "north", "nan", "inf", "91", "-90.5"])
def test_degrees_that_are_none_are_left_out(wrong: str, read: Read) -> None:
    inbound = read("location", Location_X=wrong, Location_Y="116.4", Label="家")
    assert (inbound.latitude, inbound.longitude) == (None, 116.4)


def test_a_link_has_title_description_and_address(read: Read) -> None:
    inbound = read("link", Title="科普", Description="什么是 ITP", Url="https://example.cn/itp")
    assert (inbound.title, inbound.description, inbound.url) == ("科普", "什么是 ITP", "https://example.cn/itp")


def test_a_file_has_its_name_and_its_key_among_the_rest(read: Read) -> None:
    inbound = read("file", Title="血常规.pdf", Description="", FileKey="key", FileTotalLen="1024")
    assert (inbound.kind, inbound.title) == ("file", "血常规.pdf")
    assert inbound.extras["FileKey"] == "key"


@pytest.mark.parametrize("msg_type", ["miniprogrampage", "hologram", "EVENTS", "unknown"])
def test_an_unknown_type_is_kept_as_unknown(msg_type: str, read: Read) -> None:
    inbound = read(msg_type, Whatever="x")
    assert (inbound.kind, inbound.known, inbound.extras["Whatever"]) == ("unknown", False, "x")


@pytest.mark.parametrize(
    ("fields", "event", "key", "scene"),
    [
        ({"Event": "subscribe"}, "subscribe", "", ""),
        ({"Event": "subscribe", "EventKey": "qrscene_staff-9"}, "subscribe", "qrscene_staff-9", "staff-9"),
        ({"Event": "SCAN", "EventKey": "staff-9"}, "scan", "staff-9", "staff-9"),
        ({"Event": "unsubscribe", "EventKey": ""}, "unsubscribe", "", ""),
        ({"Event": "CLICK", "EventKey": "ask-doctor"}, "click", "ask-doctor", ""),
        ({"Event": "VIEW", "EventKey": "https://example.cn/me"}, "view", "https://example.cn/me", ""),
        ({"Event": "scancode_waitmsg", "EventKey": "scan-report"}, "scancode_waitmsg", "scan-report", ""),
        ({"Event": "user_authorization_revoke"}, "user_authorization_revoke", "", ""),
    ],
)
def test_an_event_has_its_name_key_and_scene(
    fields: dict[str, str], event: str, key: str, scene: str, read: Read
) -> None:
    inbound = read("event", **fields)
    assert (inbound.kind, inbound.known, inbound.event) == ("event", True, event)
    assert (inbound.event_key, inbound.scene) == (key, scene)


def test_a_scanned_code_brings_its_ticket(read: Read) -> None:
    assert read("event", Event="SCAN", EventKey="s", Ticket="ticket-1").ticket == "ticket-1"


def test_a_reported_position_has_degrees(read: Read) -> None:
    inbound = read("event", Event="LOCATION", Latitude="23.1", Longitude="113.3", Precision="119.4")
    assert (inbound.event, inbound.latitude, inbound.longitude) == ("location", 23.1, 113.3)
    assert inbound.extras["Precision"] == "119.4"


@pytest.mark.parametrize("status", ["success", "failed:user block", "failed: system failed"])
def test_the_receipt_of_a_template_names_message_and_outcome(status: str, read: Read) -> None:
    inbound = read("event", Event="TEMPLATESENDJOBFINISH", MsgID="200163836", Status=status)
    assert (inbound.event, inbound.template_msg_id) == ("templatesendjobfinish", "200163836")
    assert inbound.template_status == status


def test_the_receipt_of_a_mass_message_has_its_counts(read: Read) -> None:
    inbound = read("event", Event="MASSSENDJOBFINISH", MsgID="1001", Status="send success", SentCount="98")
    assert (inbound.template_msg_id, inbound.template_status) == ("1001", "send success")
    assert inbound.extras["SentCount"] == "98"


def test_the_receipt_of_a_notice_is_read_from_its_list(wechat: WeChatSide) -> None:
    listed = "<List><TemplateId>t</TemplateId><MsgID>77</MsgID><ErrorStatus>success</ErrorStatus></List>"
    xml = wechat.xml("event", Event="subscribe_msg_sent_event")
    inbound = parse(xml.replace("</xml>", f"<SubscribeMsgSentEvent>{listed}</SubscribeMsgSentEvent></xml>").encode())
    assert (inbound.known, inbound.template_msg_id, inbound.template_status) == (True, "77", "success")


def test_nested_fields_are_among_the_extras_by_their_path(wechat: WeChatSide) -> None:
    xml = wechat.xml("event", Event="scancode_push", EventKey="k")
    inside = "<ScanCodeInfo><ScanType>qrcode</ScanType><ScanResult>1</ScanResult></ScanCodeInfo></xml>"
    inbound = parse(xml.replace("</xml>", inside).encode())
    assert inbound.extras["ScanCodeInfo.ScanResult"] == "1"
    with pytest.raises(TypeError):
        inbound.extras["new"] = "x"  # type: ignore[index]


@pytest.mark.parametrize("event", ["", "brand_new_event", "事件"])
def test_an_unknown_event_is_an_event_that_is_not_known(event: str, read: Read) -> None:
    inbound = read("event", Event=event)
    assert (inbound.kind, inbound.known, inbound.event) == ("event", False, event)


def test_an_event_has_the_same_key_each_time_and_another_for_anything_that_differs(read: Read) -> None:
    tap = {"Event": "CLICK", "EventKey": "ask", "CreateTime": "1714036504"}
    key = read("event", **tap).msg_id
    assert read("event", **tap).msg_id == key
    others = [{"EventKey": "menu"}, {"CreateTime": "1714036505"}, {"FromUserName": "oOther"}, {"Event": "VIEW"}]
    assert len({key} | {read("event", **tap | other).msg_id for other in others}) == 5


@pytest.mark.parametrize("event", ["TEMPLATESENDJOBFINISH", "MASSSENDJOBFINISH"])
def test_receipts_of_the_same_second_differ_by_their_msgid(event: str, read: Read) -> None:
    receipt = {"Event": event, "Status": "success", "CreateTime": "1714036504"}
    assert len({read("event", **receipt, MsgID=number).msg_id for number in ("1", "2", "3")}) == 3


def test_a_key_is_short_and_holds_no_openid(read: Read, wechat: WeChatSide) -> None:
    for inbound in (read("event", Event="CLICK", EventKey="ask"), read(MsgId="", Content="x")):
        assert re.fullmatch(r"[em][0-9a-f]{32}", inbound.msg_id)
        assert wechat.openid not in inbound.msg_id


def test_a_message_without_an_id_still_has_a_key_of_its_own(read: Read) -> None:
    one = {"MsgId": "", "CreateTime": "1714036504"}
    assert read(**one, Content="头疼").msg_id == read(**one, Content="头疼").msg_id
    assert read(**one, Content="头疼").msg_id != read(**one, Content="牙疼").msg_id


def test_neither_words_nor_people_show_in_a_log_of_the_value(read: Read, wechat: WeChatSide) -> None:
    inbound = read(Content="我头疼得厉害", bizmsgmenuid="urgent", Secret="in-extras")
    for hidden in ("头疼", wechat.openid, wechat.account, "urgent", "in-extras"):
        assert hidden not in repr(inbound)


def test_ten_thousand_characters_emoji_and_traditional_characters_arrive_whole(read: Read) -> None:
    long = "血小板很低怎麼辦👨‍👩‍👧" * 770
    assert read(Content=long).text == long


def test_line_breaks_tabs_and_blanks_of_a_text_stay(read: Read) -> None:
    assert read(Content="  早 23\n晚\t25  ").text == "  早 23\n晚\t25  "


def test_control_characters_are_taken_out_and_the_message_is_not_lost(wechat: WeChatSide) -> None:
    body = wechat.xml(Content="头\x00疼\x08得\x1b厉\x7f害\x85了\ufffe").encode()
    assert parse(body).text == "头疼得厉害了"


def test_a_text_that_looks_like_xml_stays_a_text(read: Read) -> None:
    assert read(Content="<b>&amp; 5 < 10 </Content>").text == "<b>&amp; 5 < 10 </Content>"


@pytest.mark.parametrize(
    "head",
    [
        "<!DOCTYPE xml>",
        '<!DOCTYPE xml [<!ENTITY a "b">]>',
        '<!DOCTYPE xml [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">]>',
        '<!DOCTYPE xml SYSTEM "http://127.0.0.1:1/evil.dtd">',
        '<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
    ],
)
def test_a_document_with_a_dtd_is_refused(head: str, wechat: WeChatSide) -> None:
    assert reason(head + wechat.xml(Content="x")) == "xml"
    assert reason('<?xml version="1.0"?>' + head + wechat.xml(Content="x")) == "xml"


def test_an_entity_that_nobody_declared_is_refused(wechat: WeChatSide) -> None:
    assert reason(wechat.xml(Content="x").replace("<![CDATA[x]]>", "&a;")) == "xml"


@pytest.mark.parametrize("codec", ["gbk", "utf-16", "big5", "utf-32"])
def test_a_document_in_another_encoding_is_refused(codec: str, wechat: WeChatSide) -> None:
    assert reason(wechat.xml(Content="血小板").encode(codec)) == "encoding"


@pytest.mark.parametrize("stated", ["gbk", "GB2312", "utf-16", "latin-1", ""])
def test_a_document_that_states_another_encoding_is_refused(stated: str, wechat: WeChatSide) -> None:
    assert reason(f'<?xml version="1.0" encoding="{stated}"?>' + wechat.xml(Content="x")) == "encoding"


@pytest.mark.parametrize("head", ['<?xml version="1.0"?>', '<?xml version="1.0" encoding="UTF-8"?>', "\n  "])
def test_an_ordinary_xml_declaration_is_read(head: str, wechat: WeChatSide) -> None:
    assert parse((head + wechat.xml(Content="血小板")).encode()).text == "血小板"


@pytest.mark.parametrize("field", ["ToUserName", "FromUserName", "CreateTime", "MsgType"])
def test_a_document_without_a_field_that_every_message_has_is_refused(field: str, read: Read) -> None:
    with pytest.raises(Refused) as refused:
        read(Content="x", **{field: " "})
    assert refused.value.reason == "xml"


@pytest.mark.parametrize("field", ["FromUserName", "Content", "MsgId", "CreateTime"])
def test_a_field_that_stands_twice_is_refused(field: str, wechat: WeChatSide) -> None:
    xml = wechat.xml(Content="x").replace("</xml>", f"<{field}>1</{field}></xml>")
    assert reason(xml) == "xml"


@pytest.mark.parametrize("seconds", ["-1", "1.5", "abc", "9" * 11, "9" * 5000, "١٢"])
def test_a_time_that_is_none_is_refused(seconds: str, read: Read) -> None:
    with pytest.raises(Refused):
        read(Content="x", CreateTime=seconds)


@pytest.mark.parametrize("body", ["", "<xml", "<html></html>", "[]", "{}", "<xml></xml>", "<xml/><xml/>"])
def test_what_is_no_message_is_refused(body: str) -> None:
    assert reason(body) == "xml"


def test_a_document_nested_without_end_is_refused() -> None:
    assert reason("<xml>" + "<a>" * 9000 + "</a>" * 9000 + "</xml>") == "xml"


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_nothing_but_a_refusal(body: bytes) -> None:
    with pytest.raises(Refused):
        parse(body)


@given(
    msg_type=st.sampled_from(["text", "image", "voice", "video", "location", "link", "file", "event", "x"]),
    fields=st.dictionaries(
        st.sampled_from(["Content", "MsgId", "Event", "EventKey", "Location_X", "MediaId", "MsgID", "Status", "Odd"]),
        st.text(alphabet=st.characters(exclude_categories=["Cs"])).filter(lambda text: "]]>" not in text),
    ),
)
def test_any_content_of_a_known_shape_is_read(msg_type: str, fields: dict[str, str]) -> None:
    head = "<ToUserName>gh</ToUserName><FromUserName>o1</FromUserName><CreateTime>1</CreateTime>"
    rest = "".join(f"<{name}><![CDATA[{text}]]></{name}>" for name, text in fields.items())
    inbound = parse(f"<xml>{head}<MsgType>{msg_type}</MsgType>{rest}</xml>".encode())
    assert inbound.openid == "o1"
    assert inbound.msg_id and len(inbound.msg_id) <= 64


def test_a_reply_goes_back_to_the_sender(read: Read, wechat: WeChatSide) -> None:
    reply = inside(text_reply(read(Content="x"), "可以散步，先不要打篮球。", now=NOW))
    assert reply == {
        "MsgType": "text",
        "ToUserName": wechat.openid,
        "FromUserName": wechat.account,
        "CreateTime": str(int(NOW.timestamp())),
        "Content": "可以散步，先不要打篮球。",
    }


@pytest.mark.parametrize("text", ["]]>", "a]]>b]]>", "]]]]>>", "]]><MsgType>news</MsgType>", "<![CDATA[x]]>", "&lt;"])
def test_no_text_breaks_out_of_a_reply(text: str, read: Read) -> None:
    assert inside(text_reply(read(Content="x"), text, now=NOW))["Content"] == text


def test_control_characters_are_taken_out_of_a_reply(read: Read) -> None:
    assert inside(text_reply(read(Content="x"), "好\x00的\ud800\x0b🙂", now=NOW))["Content"] == "好的🙂"


@given(st.text())
def test_any_reply_is_well_formed_and_short_enough(text: str) -> None:
    inbound = Inbound("o1", "gh", "text", NOW, "1")
    content = inside(text_reply(inbound, text, now=NOW))["Content"]
    assert len(content.encode()) <= MAX_TEXT_BYTES


def test_a_text_of_exactly_2048_bytes_is_sent_whole_and_a_longer_one_is_shortened(read: Read) -> None:
    whole = "血" * 682 + "ab"
    assert len(whole.encode()) == MAX_TEXT_BYTES == 2048
    assert shorten(whole) == whole
    cut = inside(text_reply(read(Content="x"), whole + "c", now=NOW))["Content"]
    assert cut.endswith("……") and len(cut.encode()) <= MAX_TEXT_BYTES


def test_a_text_is_shortened_to_make_room_for_a_link() -> None:
    link = "……全文 https://example.cn/a/1"
    short = shorten("血小板" * 500, ending=link)
    assert short.endswith(link) and 2040 < len(short.encode()) <= 2048


def test_an_emoji_made_of_several_characters_is_not_cut() -> None:
    family = "👨‍👩‍👧"
    for limit in range(12, 60):
        short = shorten("好" + family * 3, limit=limit, ending="")
        assert short.removeprefix("好").replace(family, "") == ""
    assert shorten("👍🏽👍🏽", limit=13, ending="") == "👍🏽"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(6, 300))
def test_shortening_keeps_a_beginning_within_the_limit(text: str, limit: int) -> None:
    short = shorten(text, limit=limit)
    assert len(short.encode()) <= limit
    assert short == text or (short.endswith("……") and text.startswith(short[:-2]))


def test_an_ending_that_does_not_fit_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="ending"):
        shorten("abc", limit=2, ending="……")
