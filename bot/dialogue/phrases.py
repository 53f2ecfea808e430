"""What the assistant says outside the FAQ and the engine's own short answers. One thought each, what to do first."""

from datetime import date

from bot.care.rechecks import CALLED_120, IN_HOSPITAL, NOT_MINE

__all__ = ["CALLED_120", "IN_HOSPITAL", "NOT_MINE"]

CONSENT = "同意"
WITHDRAW = ("撤回同意", "不同意", "取消同意")
ASK_DOCTOR = "问医生"
VERY_URGENT, NOT_URGENT = "很急", "不急"
NOT_MINE_SURE = "确定，不是我现在的情况"
AS_PATIENT = "以患者身份"

ALARM_LINE = "请先打120或马上去最近的急诊，不要等回复。您发的话值班医生都能看到。"
ALARM_LINE_STRANGER = "请先打120或马上去最近的急诊，不要等回复。没有您的同意，您的话不会给任何人看。"
ALARM_CALLED = "好。急救人员来之前请坐着或侧躺，不要自己开车，不要自己加药。我们已经告诉值班医生。"
ALARM_ARRIVED = "好，请告诉医生您有ITP、血小板低，并给他看最近的化验单。我们已经告诉值班医生。"
ALARM_SURE = "再确认一下：您和您照顾的人，现在都没有这些情况，对吗？"
ALARM_OFF = "好的，急救提醒先解除，您的话仍然转给值班医生看。如果出现这些情况，请立刻拨打120。"
ALARM_OFF_STRANGER = "好的，急救提醒先解除。如果出现这些情况，请立刻拨打120。"
ALARM_CLEARED = "记下了：血小板 {count}。急救提醒先解除，您的话仍然转给值班医生看。出血、头痛或人迷糊，请立刻拨打120。"

KEPT = "您的消息已经收到并保存，助手暂时连不上，恢复后马上回复您。很急请直接拨打120。"
TO_HUMAN = "这条消息智能助手没能处理好，已转给{who}，预计{within}答复。很急请拨打120。"
BACKLOG = (
    "抱歉，系统刚刚中断过，您之前发的{number}条消息我们现在才看到，已全部转给{who}，预计{within}答复。很急请拨打120。"
)
NEED_CONSENT = "这件事需要您先同意我们保存和使用您的信息。您可以先看看说明，再决定。"
CONSENTED = "谢谢您的信任。以后可以直接告诉我血小板、出血、用药，也可以提问；您自己的治疗我会转给值班医生。"
ALREADY_CONSENTED = "您之前已经同意过了，直接说就好。"
WITHDRAWN = "已撤回同意。以后您发的话不再进入病历；急救提醒和一般知识仍然可以用。想重新开始，发「同意」。"
PASSED_ON = "已把您刚才那句话转给{who}。请不要等回复，先打120或去急诊。"
UNREADABLE = "{what}我还看不懂。如果现在出血不止、头痛得厉害、人不清醒，请马上拨打120。这件事急吗？"
UNREADABLE_NOTED = "已把它转给{who}，预计{within}答复。也可以用文字说给我听。"
STAFF_HINT = "您是医护账号。请点提醒里的链接回复患者。想自己咨询，发「以患者身份」，一小时内按患者处理。"
STAFF_AS_PATIENT = "好的，接下来一小时，您发的消息按患者处理。"
URGENT_RECEIPT = "{advice}\n\n已转给{who}，预计{within}答复。"
NOBODY = "现在没有值班医生，已通知负责人。不舒服请直接去医院。"
COUNT_KEPT = "记下了：{counts}。"
CHECKIN_FAILED_SOFTLY = "前面还有一个问题没答完，答完它，随访的问题随后就来。"

WHAT = {
    "image": "照片",
    "voice": "语音",
    "video": "视频",
    "shortvideo": "视频",
    "file": "文件",
    "location": "位置",
    "link": "链接",
}

NO_ANSWER = "这个问题我这里还没有经过审核的答案。要不要转给值班医生？"
EMPTY = "收到一条空消息。想说什么，直接打字发给我就好；很急请先拨打120。"
WHICH = "您是想问下面哪一个？"
NOT_UNDERSTOOD = "我没太听懂，换个说法试试，也可以直接问医生。"
TWICE_MISSED = "还是没听懂，不好意思。要不要把问题转给值班医生？"
NONE_OF_THESE = "都不是，问医生"
NOTHING_TO_RECORD = "我没找到要记的数值。可以这样说：「今天血小板2.3万」。想问医生，发「问医生」。"
ACKNOWLEDGED = "好的，有变化随时告诉我。"
RECORDED = "记下了：{day}血小板 {counts}。"
CORRECT_WHAT = "您想改哪一个？请把正确的数值和日期再说一遍，比如「昨天血小板82」。"
CORRECTED = "改好了：{was} 改为 {now}。"
NO_COUNTS = "还没有记过血小板。可以直接发给我，比如「今天血小板2.3万」。"
YOUR_COUNTS = "您最近的血小板："
DOCTOR_NEEDS_CONSENT = "问医生需要您先同意我们保存和使用您的信息，医生要看到您的话才能答复。很急请直接拨打120。"
DOCTOR_IS_HERE = "医生正在看您的问题，直接在这里打字，医生就能看到。很急请先拨打120。"
TYPE_YOUR_QUESTION = "好的，请把想问医生的话用一句话发给我，我来转。很急请先拨打120。"
ASKED = "这要请医生来定，我不能替您决定。已转给{who}，预计{within}答复。情况变重请直接拨打120。"
ASKED_TOO = "好的，已补充到您刚才的咨询里，医生会一起看，预计{within}答复。"
ASKED_NOBODY = "这要请医生来定。现在没有值班医生，已通知负责人。不舒服请直接去医院，危急拨打120。"
WHICH_COUNT = "这个数我没看懂。请带上单位，比如「2.3万」或「23」；没查就回「没查」。"
CHECKIN_DONE = "谢谢，随访记好了，医生能看到。有变化随时告诉我。"
CHECKIN_WORRYING = "谢谢，都记下了。您的回答需要医生看一下，已转给{who}，预计{within}答复。加重请直接拨打120。"
WATCHED = "这件事我也转给了{who}，预计{within}答复。加重或有新的出血，请马上告诉我；危急拨打120。"
CHECKIN_LEFT = "好的，先不问了，之后再找您。"


def read_more(topic_id: str) -> str:
    """A link to the full answer."""
    return f'<a href="{page_url()}/p/faq/{topic_id}">看完整说明</a>'


def see_record() -> str:
    """A link to the record's page."""
    return f'<a href="{page_url()}/p/record">看曲线</a>'


def day_of(day: date, today: date) -> str:
    """A day as people say it, exact beside: 「今天（11月24日）」."""
    words = {0: "今天", 1: "昨天", 2: "前天"}.get((today - day).days, "")
    exact = f"{day.month}月{day.day}日"
    return f"{words}（{exact}）" if words else exact


_page_url = "http://127.0.0.1:8000"


def page_url() -> str:
    """Where our pages are reached, without a slash at the end."""
    return _page_url


def set_page_url(url: str) -> None:
    """Told once at start, from the settings."""
    global _page_url
    _page_url = url
