"""
Opt-out and opt-in words of replies: the whole message, never a part of a sentence.

«СТОП!» stops, «не стоп» does not. Case, accents, punctuation, quotes and emoji do not matter, nor
does saying the word twice, spelling it out or saying please. Letters that look alike in Latin and
Cyrillic count as the same, because keyboards mix them. A word that can mean nothing else also stops
where it is the whole first paragraph: what stands below it is a signature or a company's notice; or
the first line, above a name, a number, a mailbox or a greeting. A request in a sentence of its own
("please unsubscribe me from this list") stops, too. Words that are also plain answers (ТАК, ДА,
YES) never opt anybody in.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

STOP_WORDS = (
    # English: the set that carriers and SMS providers share
    "stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "opt out", "optout",
    "revoke", "unsub", "unsubscribe me", "stop sms", "stop promotions",
    # Ukrainian
    "стоп", "відмова", "відписатись", "відписатися", "відписка", "відписати",
    "не надсилати", "не надсилайте", "відпишіть", "відпишіть мене", "не пишіть", "не пишіть мені",
    "стоп смс",
    # Russian
    "отписаться", "отписка", "отписать", "отмена", "отказ", "не присылать", "не присылайте",
    "отпишите", "отпишите меня", "не пишите", "не пишите мне",
    # Polish, German, French, Spanish
    "rezygnuję", "wypisz", "stopp", "abmelden", "arrêt", "désabonner", "baja",
)  # fmt: skip
AMBIGUOUS_WORDS = (
    "cancel", "end", "quit", "revoke", "відмова", "отмена", "отказ", "rezygnuję", "arrêt", "baja",
)  # fmt: skip
"""They stop as the whole message only: a first paragraph may begin something about an order."""
LIST_EN = (
    r"(from|of|off)( all| this| your| the| these){1,2}( mailing| e ?mail| sms| marketing)?"
    r" (list|mailing|newsletter|e ?mail|mail|message|text|database)s?"
)
MINE_EN = r"(me|us|my (e ?mail|e ?mail address|address|number))"
MAILS_EN = (
    r"( any| these| this| your| all| the){0,2}"
    r" ((e ?mail|mail|message|text|newsletter|mailing|ad|promotion)s?|sms|spam)"
)
LIST_UK = (
    r"(від|з|зі|із)( всіх| усіх| цієї| вашої| ваших| вашого| цього){0,2}( смс| рекламної)?"
    r" (розсил(ки|ок)|підпис(ки|ок)|списку( розсилки)?|бази|реклами|спаму)"
)
MINE_UK = r"(мене|нас|(мою|цю) (адресу|пошту)|(мій|цей) (номер|телефон|e ?mail))"
MAILS_UK = (
    r"( ваші| ваших| свої| цю)?"
    r" (лист(и|ів)|смс|повідомлен(ня|ь)|реклам[уи]|спам|розсилк[уи]|нічого)"
)
LIST_RU = (
    r"(от|из|с|со)( всех| этой| вашей| ваших| вашего| этого){0,2}( смс| рекламной)?"
    r" (рассыл(ки|ок)|подпис(ки|ок)|списка( рассылки)?|базы|рекламы|спама)"
)
MINE_RU = r"(меня|нас|(мой|этот) (адрес|номер|телефон|e ?mail)|(мою|эту) почту)"
MAILS_RU = (
    r"( ваши| ваших| свои| эту)? (пис(ьма|ем)|смс|сообщени[яй]|реклам[уы]|спам|рассылк[уи]|ничего)"
)
REQUESTS = (
    rf"(i (want|wish|would like|d like) to )?(unsubscribe|opt out)( {MINE_EN})?( {LIST_EN})?",
    rf"(remove {MINE_EN}|opt {MINE_EN} out|take {MINE_EN}( off)?)( {LIST_EN}| from everything)",
    rf"unsubscribe {MINE_EN} from everything|remove me|opt me out|take me off",
    r"(stop|do not|don ?t|never)( send| e ?mail| text| messag| writ| contact| spamm?)(e|ing)?"
    rf"( to)? (me|us)({MAILS_EN})?",
    rf"(stop( sending)?|no more){MAILS_EN}",
    rf"((я )?хочу |прошу )?відписати(ся|сь)?( {MINE_UK})?( {LIST_UK})?",
    rf"відпишіть( {MINE_UK})?( {LIST_UK}| від усього)?",
    rf"(видаліть|приберіть|зніміть|вилучіть|виключіть|прошу видалити) {MINE_UK} {LIST_UK}",
    r"(прошу )?(мені )?не (надсилайте|надсилати|пишіть|писати|присилайте|шліть|турбуйте|турбувати)"
    r"( мені| нам| мене| сюди| на (цей|мій) номер| на (цю|мою) (адресу|пошту)){0,2}"
    rf"({MAILS_UK})?",
    rf"(припиніть|перестаньте|досить)( мені)? (надсилати|слати|писати)( мені)?({MAILS_UK})?",
    r"(припиніть|зупиніть|вимкніть)( цю| вашу| мені)? (розсилку|спам|рекламу)",
    rf"((я )?хочу |прошу )?отписать(ся)?( {MINE_RU})?( {LIST_RU})?",
    rf"отпишите( {MINE_RU})?( {LIST_RU}| от всего)?",
    rf"(удалите|уберите|исключите|снимите|прошу удалить) {MINE_RU} {LIST_RU}",
    r"(прошу )?(мне )?не (присылайте|присылать|пишите|писать|шлите|слать|беспокойте|беспокоить)"
    rf"( мне| нам| меня| сюда| на (этот|мой) (номер|адрес)){{0,2}}({MAILS_RU})?",
    rf"(прекратите|перестаньте|хватит)( мне)? (присылать|слать|писать)( мне)?({MAILS_RU})?",
    r"(прекратите|остановите|отключите)( эту| вашу| мне)? (рассылку|спам|рекламу)",
)  # fmt: skip
"""Patterns of whole messages that ask for it in a sentence."""
COURTESIES = (
    "please", "pls", "kindly", "будь ласка", "пожалуйста", "thanks", "thank you", "дякую",
    "спасибо", "hello", "hi", "добрий день", "доброго дня", "вітаю", "добрый день", "здравствуйте",
)  # fmt: skip
EMPHASES = ("anymore", "any more", "again", "ever", "now", "більше", "больше", "негайно", "срочно")
"""What a request may be dressed in; a single word may not ("cancel again" is about an order)."""
GREETINGS = (
    "best regards", "kind regards", "regards", "best", "best wishes", "cheers", "sincerely",
    "з повагою", "щиро", "гарного дня", "с уважением", "всего доброго", "хорошего дня",
    "pozdrawiam",
)  # fmt: skip
NO_NAMES = (
    "wait", "no", "not", "never", "now", "but", "and", "or", "it", "why", "what", "yes", "ok",
    "hold", "order", "delivery", "start", "call", "me", "i", "if", "when", "the", "this", "ні",
    "не", "так", "але", "або", "чому", "що", "чекайте", "зачекайте", "почекайте", "стійте",
    "замовлення",
    "доставка", "доставку", "зателефонуйте", "подзвоніть", "передзвоніть", "нет", "да", "но", "или",
    "почему", "что", "подождите", "ждите", "заказ", "перезвоните", "позвоните", "я",
)  # fmt: skip
"""Words that begin with a capital on a line of their own and sign nothing."""
START_WORDS = (
    "start", "unstop", "subscribe", "resubscribe",
    "старт", "підписатись", "підписатися", "подписаться",
    "wznów", "anmelden",
)  # fmt: skip
HELP_WORDS = (
    "help", "info", "допомога", "довідка", "інфо", "помощь", "справка", "инфо",
)  # fmt: skip
NEVER_WORDS = ("так", "да", "yes")
"""Answers to questions; some providers take them for a START, and we do not."""

LOOK_ALIKES = str.maketrans("авеікмнорстухѕ", "abeikmhopctyxs")
CHARACTERS_MAX = 100
TEXT_CHARS_MAX = 400
SIGNATURE_LINES, NAMES_MAX = 4, 4
PARAGRAPHS = re.compile(r"\r?\n[ \t]*\r?\n")
REACHED_AT = re.compile(
    r"(?:\w{1,10}[.:]{0,2} {0,2})?\+?[\d() -]{5,24}|[^\s@]{1,64}@[^\s@]{1,128}"
    r"|(?:https?://|www\.)\S{1,200}"
)


def opt_out_word(text: str) -> str | None:
    """``stop``, ``start``, or None where the message is anything but one of the words."""
    said = said_once(text)
    if said in STOP or is_request(said):
        return "stop"
    if said in START:
        return "start"
    begin = text.strip()[:TEXT_CHARS_MAX]
    paragraph, line = PARAGRAPHS.split(begin, maxsplit=1)[0], begin.partition("\n")[0]
    stops = is_plain_stop(paragraph) or (
        is_plain_stop(line) and is_signature(begin.removeprefix(line).strip())
    )
    return "stop" if stops else None


def is_help_word(text: str) -> bool:
    """Whether somebody asks who we are, and says nothing else."""
    return said_once(text) in HELP


def is_plain_stop(text: str) -> bool:
    """Whether a text is an opt-out, and can be nothing else."""
    said = said_once(text)
    return said in STOP - AMBIGUOUS or is_request(said)


def said_once(text: str) -> str:
    """The skeleton of a short text without courtesies, repeats and spaced-out letters."""
    if len(text) > CHARACTERS_MAX:
        return ""
    said = without(skeleton(text), POLITE)
    words = said.split()
    if len(words) > 2 and all(len(word) == 1 for word in words):
        return "".join(words)
    return words[0] if len(set(words)) == 1 else said


def is_request(said: str) -> bool:
    """Whether a skeleton is one of ``REQUESTS``."""
    return any(request.fullmatch(without(said, EMPHATIC)) for request in requests())


@lru_cache(maxsize=1)
def requests() -> tuple[re.Pattern[str], ...]:
    """The requests as patterns over skeletons."""
    return tuple(re.compile(shape(request)) for request in REQUESTS)


def without(said: str, fillers: tuple[str, ...]) -> str:
    """A skeleton without some words, wherever they stand."""
    said = f" {said} "
    for filler in fillers:
        said = said.replace(f" {filler} ", " ")
    return said.strip()


def is_signature(below: str) -> bool:
    """
    Whether nothing but a signature stands below the first line: up to four lines of names, numbers,
    mailboxes, links and greetings.
    """
    lines = [line.strip(" \t\r,.;-–—~*_|/") for line in PARAGRAPHS.split(below, 1)[0].splitlines()]
    return len(lines) <= SIGNATURE_LINES and all(signs(line) for line in lines)


def signs(line: str) -> bool:
    """Whether a line is a name, a number, a mailbox, a link or a greeting."""
    said = skeleton(line)
    names = line.split()
    named = len(names) <= NAMES_MAX and all(
        name[0].isupper() and name.replace("-", "").rstrip(".").isalpha() for name in names
    )
    return (
        said in GREETED
        or not without(said, POLITE)
        or REACHED_AT.fullmatch(line) is not None
        or (named and not NOT_NAMES & set(said.split()))
    )


def skeleton(text: str) -> str:
    """
    A text reduced to the shapes of its letters: one space between words, one script, no accents.
    """
    kept = [letter if letter.isalnum() else " " for letter in shape(text)]
    return " ".join("".join(kept).split())


def shape(text: str) -> str:
    """A text without accents and characters of no width, its look-alikes in one script."""
    plain = unicodedata.normalize("NFKD", text).casefold().translate(LOOK_ALIKES)
    return "".join(letter for letter in plain if unicodedata.category(letter) not in ("Mn", "Cf"))


STOP = frozenset(skeleton(word) for word in STOP_WORDS)
START = frozenset(skeleton(word) for word in START_WORDS)
HELP = frozenset(skeleton(word) for word in HELP_WORDS)
AMBIGUOUS = frozenset(skeleton(word) for word in AMBIGUOUS_WORDS)
POLITE = tuple(skeleton(courtesy) for courtesy in COURTESIES)
EMPHATIC = tuple(skeleton(emphasis) for emphasis in EMPHASES)
GREETED = frozenset(skeleton(greeting) for greeting in GREETINGS)
NOT_NAMES = frozenset(skeleton(word) for word in NO_NAMES)
