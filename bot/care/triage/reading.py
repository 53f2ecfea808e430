"""One reading of a message: what is said in it, and of each thing said whether it is said of here and now.

A phrase found in a text may be denied, past, supposed, somebody else's, a figure of speech or over already. The rules are
R2 to R9 of the clinical rules for firing; where they leave room, a phrase is taken as present.
"""

# ruff: noqa: E501 (patterns)
import re
from bisect import bisect_right
from collections import defaultdict
from enum import Enum

from bot.care.triage.rulebook import Rulebook

Span = tuple[int, int]


class Said(Enum):
    """How a thing is said."""

    PRESENT = "present"
    RESOLVED = "resolved"
    DENIED = "denied"
    PAST = "past"
    SUPPOSED = "supposed"
    OTHERS = "others"
    FIGURE = "figure"


_SENTENCE_END = "。!?\n"
_CLAUSE_END = frozenset("。!?\n,;: …")
_LINK = re.compile(r"[、和及与或跟]|以及|或者|或是|还有|也没有?|并且")
_ADDS_WEIGHT = re.compile(r"[了得很]|特别|厉害|非常|越来越|不止|不停")
_DENIED_AFTER = re.compile(
    r"(?:倒|也|都|已经|现在|暂时|目前|还|就|倒是|是|真的|一点|一点都|从来|从){0,3}"
    r"(?:(?:没有|没(?!有)|未|无)(?=[,。!?;\n 的过]|$)|没有?(?:流|出|发生|出现|再|这[种个]|[痛疼吐黑红拉晕烧咳]|抽(?!血))|不(?:痛|疼|流|出血|吐|黑|红|拉|晕|烧|抽|咳|明显)(?![不才]))"
)
_QUESTION_END = re.compile(r"[吗么嘛]|\?|说明什么|代表什么|什么意思|是真的|的可能|怎么预防|怎么办呢?$")
_MAY = re.compile(
    r"(?:会|能|可以|容易|可能会|一定会?|就会|是否|都会|还会|也会|才会|才|算|是不是就?)(?:引起|导致|造成|出现|发生|变成|诱发|引发|有|得|突然|自发|继发|并发|自己|再|是|算){0,2}$"
)
_GENERAL_AFTER = re.compile(
    r"(?:的?(?:前兆|先兆|征兆|早期症状|症状有|表现有|原因有哪|风险|概率|几率|危险性|可能性|机会|发生率)|长什么样|什么样子|长啥样|啥样子?|什么颜色|(?:有|是|会有)(?:什么|啥|哪些)(?:症状|表现|前兆|征兆|感觉|危害)|"
    r"(?:怎么|如何|应该怎么)(?:预防|避免|识别|判断|急救|分辨|区分|鉴别)|(?:能|可以|会)?(?:传染|遗传)|才(?:需要|要|用)(?:去|看|打|急)|(?:就|才)(?:要|得|该|算|叫)|的时候(?:该|要|应该|怎么)|(?:怎么|如何)预防|是(?:指|什么意思)|指的是|的患者|的病人|的人(?:能|可|会|要))"
)
# A question out of a textbook: nobody is named, nothing goes on (R6).
_LESSON = re.compile(
    r"原因(?:是什么|分析|有哪|引起)|什么原因|(?:怎么|如何|怎样|咋)(?:治疗|诊断|预防|鉴别|护理|区分|区别|补血)|该如何治|有什么区别|有啥区别|区别|能活多久|活多久|"
    r"饮食|禁忌|忌口|休养|哪里(?:最好|好|看)|哪家医院|注意(?:什么|事项|些什么)|吃什么|能吃|可以吃|是否|有关吗|相关吗|有关系吗|会不会|为什么会?|为啥|是什么(?:病|情况|症状|意思|引起)|"
    r"症状|后遗症|传染|遗传|的治疗|科普|定义|分几|有哪些|机制|吃红枣|概率|几率"
)
_CASE = re.compile(
    r"\d|止不住|不停|大量|好多|厉害|一直|还在|两天|三天|几天|越来越|怎么办|检查|伴有|半月|婴|孩|宝|娃|了[,。!]|了$|救|急(?!性)|妈|爸|爷|奶|婆|公(?!立)|妻|夫|父|母|小孩|朋友|姐|哥|弟|妹|他(?!汀)|她"
)
_THEN_WHAT = re.compile(r"[^,。!]{0,4}会(?:怎么?样|[^,。!]{1,8}(?:吗|么|\?))")
# What tells of a sudden start tells no time: 「去年突然抽搐」.
_SUDDEN = frozenset(["突然", "忽然", "一下子", "猛地", "又", "又开始", "刚", "越来越"])
_SURELY_NOW = frozenset(
    ["现在", "今天", "今早", "今晚", "刚刚", "刚才", "正在", "这会儿", "目前", "已经", "救命", "快来"]
)
_SOMEBODY = re.compile(r"(?<!我是)(?<!我们)(?:病人|患者|人群|的人|这种人)(?:如果|要是|一般|出现|有|会|得了?|,)?$")
_OVER = re.compile(
    r"(?:后来|现在|已经|今天|刚刚?|很快|自己|自行|就|马上|一会儿?|几分钟|也|都|五分钟|压了压|按了按|慢慢)*"
    r"(?:不(?:流|疼|痛|出|吐|渗|红|烧|晕|咳)了|(?:止住|停住|停下来?|止血|好|消|退|没|缓解|恢复|干净|正常)了|好多了|自己停|停了|就停|自己好|才停|止住|退烧了|没事了|已经停)"
)
_HAPPENED = re.compile(r"^(?:血|得|起来|来)?过(?![来去度敏多程后头几一两三])")
_HAPPENED_BEFORE = re.compile(r"[流出有生吐得患住做抽便晕咳拉起撞摔发切断]过(?:一次|两次|几次|好几次|大)?$")
_STRONG_PAST = re.compile(r"时候|那时|当时|那次|那会|那年|当年|时$|期间")
_WEAK_PAST = re.compile(r"之前|上次|上回|上个月|那次|原来|过去")
_SINCE = re.compile(r"到现在|至今|一直到|还在|以来|后(?:一直|就)|开始(?:一直|就)?")


class Reading:
    """A message against a rulebook. `text` is normalised; offsets are into it."""

    def __init__(self, text: str, book: Rulebook) -> None:
        self.book = book
        self.text = book.typos.sub(lambda found: book.corrections[found.group()], text) if book.typos else text
        self.found: defaultdict[int, list[Span]] = defaultdict(list)
        self._scan()
        self._marks()
        self._said: dict[Span, Said] = {}

    def spans(self, sense: int) -> list[Span]:
        """Where a sense is found, whatever is said of it."""
        return self.found.get(sense, [])

    def said(self, span: Span) -> Said:
        """How the thing at this span is said."""
        known = self._said.get(span)
        if known is None:
            known = self._said[span] = self._judge(span)
        return known

    def sentence(self, at: int) -> Span:
        """The sentence around an offset."""
        number = bisect_right(self._ends, at)
        start = self._ends[number - 1] if number else 0
        end = self._ends[number] if number < len(self._ends) else len(self.text)
        return (start, end)

    def clause(self, at: int) -> Span:
        """The clause around an offset: between two commas, blanks or words like 但是."""
        number = bisect_right(self._breaks, at)
        start = self._breaks[number - 1] if number else 0
        end = self._breaks[number] if number < len(self._breaks) else len(self.text)
        return (start, end)

    # How the phrases are found.

    def _scan(self) -> None:
        text, starts, singles, found = self.text, self.book.starts, self.book.singles, self.found
        for at in range(len(text)):
            for sense in singles.get(text[at], ()):
                found[sense].append((at, at + 1))
            for literal, sense in starts.get(text[at : at + 2], ()):
                if text.startswith(literal, at):
                    found[sense].append((at, at + len(literal)))
        masks = sorted(found.get(self.book.markers["masks"], ()))
        if masks:
            self._unmask(masks)
        for made, first, gap, second in self.book.sequences:
            if first not in found:
                continue
            if gap < 0:
                found[made] = sorted({*found[made], *found[first]})
                continue
            after = found.get(second)
            if not after:
                continue
            for start, end in list(found[first]):
                for start2, end2 in after:
                    if end <= start2 <= end + gap and not _breaks_sequence(text[end:start2]):
                        found[made].append((start, end2))
        for sense in [sense for sense, spans in found.items() if not spans]:
            del found[sense]

    def _unmask(self, masks: list[Span]) -> None:
        inside = {at for start, end in masks for at in range(start + 1, end)}
        heads = dict(masks)
        for sense, spans in self.found.items():
            if self.book.names[sense] == "@masks":
                continue
            self.found[sense] = [
                (start, end)
                for start, end in spans
                if start not in inside and end not in inside and end >= heads.get(start, 0)
            ]
        for sense in [sense for sense, spans in self.found.items() if not spans]:
            del self.found[sense]

    def _marks(self) -> None:
        text = self.text
        hidden = self._marker("not_negation")
        self._negators = [span for span in self._marker("negation") if not any(_inside(span, mask) for mask in hidden)]
        self._past = self._marker("past")
        self._present = [span for span in self._marker("present") if not any(_meet(span, mark) for mark in self._past)]
        self._if = self._marker("if")
        calm = self._marker("not_fear")
        self._fear = [span for span in self._marker("fear") if not any(_inside(span, mask) for mask in calm)]
        self._others = self._marker("others")
        self._own = self._marker("own")
        self._idioms = self._marker("idioms")
        self._fillers = {text[start:end] for start, end in self._marker("filler")}
        self._ends = [at + 1 for at, char in enumerate(text) if char in _SENTENCE_END]
        breaks = {at + 1 for at, char in enumerate(text) if char in _CLAUSE_END}
        breaks |= {start for start, _ in self._marker("contrast")}
        self._breaks = sorted(breaks)
        self._general = (
            len(text) <= 40
            and not self._present
            and not self._own
            and bool(_LESSON.search(text))
            and not _CASE.search(text)
        )
        starts: dict[int, int] = {}
        complaints: dict[int, int] = {}
        for sense, spans in self.found.items():
            if sense not in self.book.symptoms:
                continue
            named = sense in self.book.complaints
            for start, end in spans:
                # A part such as 「没有」 or 「了」 is not what a negator denies.
                if not named and (end - start < 2 or text[start] in "不没无未"):
                    continue
                starts[start] = max(end, starts.get(start, 0))
                if named:
                    complaints[start] = max(end, complaints.get(start, 0))
        self._complaints = complaints
        self._symptom_starts = starts
        # A figure of speech beside a complaint of its own is taken at its word (R9).
        self._only_idioms = bool(self._idioms) and all(
            any(idiom[0] < end and start < idiom[1] for idiom in self._idioms) for start, end in complaints.items()
        )
        self._denied = self._denials() if self._negators else []

    def _marker(self, name: str) -> list[Span]:
        return sorted(self.found.get(self.book.markers[name], ()))

    def _denials(self) -> list[Span]:
        """The stretches of text that a negator denies (R2): the next symptom, and those joined to it."""
        text, stretches = self.text, []
        for start, end in self._negators:
            if self._doubled(start):
                continue
            at, limit = end, self.clause(start)[1]
            at = self._over_fillers(at, limit)
            stop = self._symptom_starts.get(at)
            if stop is None:
                continue
            first = at
            while stop is not None:
                at = self._overlapped(at, stop)
                link = _LINK.match(text, at)
                following = self._over_fillers(link.end() if link else at, limit)
                stop = self._symptom_starts.get(following)
                if stop is not None and not link and (following != at or _ADDS_WEIGHT.match(text, stop)):
                    stop = None
            stretches.append((first, at))
        return stretches

    def _overlapped(self, first: int, last: int) -> int:
        """The end of what starts between two offsets: 「起疹」 and 「疹子」 are one thing."""
        at = first
        while at < last:
            last = max(last, self._symptom_starts.get(at, 0))
            at += 1
        return last

    def _doubled(self, start: int) -> bool:
        """「不是没有头痛」「没有一天不流鼻血」「哪有不痛的」 assert what they seem to deny (R4)."""
        return bool(
            re.search(
                r"(?:不是|并非|不能说|没有?一天|没有?哪天|没有?一次|哪有|哪能|怎么会|怎么能|无时无刻)$",
                self.text[max(0, start - 5) : start],
            )
        )

    def _over_fillers(self, at: int, limit: int) -> int:
        moved = True
        while moved and at < limit:
            moved = False
            if at in self._symptom_starts:
                return at
            for size in (4, 3, 2, 1):
                if self.text[at : at + size] in self._fillers and at + size <= limit:
                    at, moved = at + size, True
                    break
        return at

    # What is said of them.

    def _judge(self, span: Span) -> Said:
        start, end = span
        text = self.text
        if self._only_idioms and any(idiom[0] < end and start < idiom[1] for idiom in self._idioms):
            return Said.FIGURE
        if any(first <= start and end <= last for first, last in self._denied):
            return Said.DENIED
        clause, sentence = self.clause(start), self.sentence(start)
        after = text[end : end + 12]
        denied = _DENIED_AFTER.match(after)
        if (
            denied
            and "才怪" not in after
            and (denied.group()[-1] not in "痛疼" or any(char in text[start:end] for char in "痛疼"))
        ):
            return Said.DENIED
        if self._others_speak(start, sentence):
            return Said.OTHERS
        if self._supposed(span, clause, sentence):
            return Said.SUPPOSED
        if self._is_past(span, clause, sentence):
            return Said.PAST
        gap = re.match(r"[^。!?\n]{0,9}?" + _OVER.pattern, text[end : sentence[1]])
        over = gap is not None and not re.search(
            r"没|还|又|药|激素|不(?!流|疼|痛|出|吐|渗|红|烧|晕|咳)", gap.group()[:-2]
        )
        if gap and over and not re.search(r"(?:但|可是|又|还)", text[end + gap.end() : end + gap.end() + 8]):
            return Said.RESOLVED
        return Said.PRESENT

    def _others_speak(self, start: int, sentence: Span) -> bool:
        before = [mark for mark in self._others if sentence[0] <= mark[0] < start]
        if not before:
            return False
        # 「邻居家孩子」 is still the neighbour's; 「邻居说……，我」 is oneself.
        if before[-1][0] and self.text[before[-1][0] - 1] in "跟和与被把同让给":
            return False
        return not any(
            before[-1][1] + 1 < mark[0] <= start and self.text[mark[0] - 1] not in "家的他她" for mark in self._own
        )

    def _supposed(self, span: Span, clause: Span, sentence: Span) -> bool:
        start, end = span
        text = self.text
        now = [mark for mark in self._present if sentence[0] <= mark[0] < start]
        for mark in self._if:
            if sentence[0] <= mark[0] < start and not any(
                place[0] > mark[0] and text[place[0] : place[1]] in _SURELY_NOW for place in now
            ):
                return True
        if not now and _SOMEBODY.search(text[clause[0] : start]) and _QUESTION_END.search(text[end : sentence[1] + 1]):
            return True
        if self._general or any(clause[0] <= mark[0] < start for mark in self._fear):
            return True
        rest = text[end : clause[1]]
        if _THEN_WHAT.match(rest) and not any(
            sentence[0] <= mark[0] < sentence[1] for mark in (*self._own, *self._present)
        ):
            return True
        if _GENERAL_AFTER.match(rest.lstrip("了的时后")):
            return True
        if _MAY.search(text[clause[0] : start]) and (_QUESTION_END.search(rest) or "?" in text[end : clause[1] + 1]):
            return not any(mark[0] >= clause[0] for mark in now)
        return False

    def _is_past(self, span: Span, clause: Span, sentence: Span) -> bool:
        start, end = span
        text = self.text
        marks = [(mark, False) for mark in self._past if sentence[0] <= mark[0] < start]
        marks += [
            (mark, True)
            for mark in self._present
            if sentence[0] <= mark[0] < start and not (mark[0] >= clause[0] and text[mark[0] : mark[1]] in _SUDDEN)
        ]
        last = max(marks, default=None)
        present_here = any(clause[0] <= mark[0] < clause[1] and not start <= mark[0] < end for mark in self._present)
        happened = _HAPPENED.match(text[end : end + 4]) or _HAPPENED_BEFORE.search(text[clause[0] : start])
        if happened and not present_here and not re.search(r"从来?没|从没", text[clause[0] : start]):
            return True
        if re.match(
            r"(?:的)?(?:病?史|病历史)|(?:走|没|死|去世|过世|走掉)的|去世|过世|(?:手术|术)后|手术|后(?:遗症|能|多久|可以|要|恢复|怎|,)|引起的后遗|恢复期|康复",
            text[end : end + 5],
        ) or re.match(r"(?:是|都是|那是)?(?:去年|前年|以前|小时候|好几年前|之前|上次)", text[end : end + 6]):
            return True
        if last is None or last[1]:
            return False
        mark = last[0]
        if _SINCE.search(text[mark[1] : start]):
            return False
        if mark[0] >= clause[0]:
            return not any(
                mark[1] <= place[0] < clause[1] and text[place[0] : place[1]] not in _SUDDEN for place in self._present
            )
        # A past that was only told as background (「去年确诊ITP，」) does not reach into the next clause.
        told = text[mark[0] : self.clause(mark[0])[1]]
        carries = bool(_STRONG_PAST.search(told)) or any(
            mark[0] <= place < start for place in self._complaints if place < clause[0]
        )
        return carries and not present_here

    def weakly_past(self, span: Span) -> bool:
        """Whether a past thing is past only by a word such as 上次, so that it is worth asking whether it is now (R10)."""
        sentence = self.sentence(span[0])
        return self.said(span) is Said.PAST and bool(_WEAK_PAST.search(self.text[sentence[0] : span[0]]))


def _meet(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _inside(span: Span, mask: Span) -> bool:
    return mask[0] <= span[0] and span[1] <= mask[1]


def _breaks_sequence(gap: str) -> bool:
    return any(char in _CLAUSE_END or char in "没不无未、" for char in gap)
