"""
Ukrainian grammar that messages need: the vocative of first names, and the official romanisation.

The vocative follows the school rules for the first and second declension; what they do not cover
stays as it is. Romanisation: Cabinet of Ministers resolution 55 of 27 January 2010.
"""

from __future__ import annotations

VOWELS = "аеєиіїоуюя"
EXCEPTIONS = {
    "ігор": "Ігорю",
    "лазар": "Лазарю",
    "федір": "Федоре",
    "хведір": "Хведоре",
    "сидір": "Сидоре",
    "прокіп": "Прокопе",
    "тиміш": "Тимоше",
    "яків": "Якове",
    "антін": "Антоне",
    "олег": "Олеже",
    "ілля": "Ілле",
    "лев": "Леве",
    "павло": "Павле",
    "петро": "Петре",
    "дмитро": "Дмитре",
    "михайло": "Михайле",
    "данило": "Даниле",
    "кирило": "Кириле",
    "любов": "Любове",
    "нінель": "Нінеле",
    "анатоль": "Анатолю",
    "адель": "Аделе",
    "рахіль": "Рахіле",
    "юдиф": "Юдифе",
    "марко": "Марку",
    "левко": "Левку",
    "франко": "Франку",
    "хведько": "Хведьку",
    "петрик": "Петрику",
}
UNCHANGED = frozenset(
    [
        "айгуль",
        "аннабель",
        "беатріс",
        "гузель",
        "грейс",
        "джейн",
        "едіт",
        "елізабет",
        "ешлі",
        "жаклін",
        "ізабель",
        "катрін",
        "кармен",
        "кетрін",
        "маргарет",
        "мерилін",
        "мішель",
        "ніколь",
        "рут",
        "шарлотт",
        "антоніо",
        "бруно",
        "лео",
        "маріо",
        "отто",
        "пабло",
    ]
)
"""Foreign names that look as if a rule were for them; most are women's that end in a consonant."""
PATRONYMICS = ("ович", "івна", "ївна", "ілліч", "ьмич")
NAME_LENGTH_MAX = 100
LETTERS = dict(zip("абвгґдезиіїйклмнопрстуфыэё", "abvhgdezyiiiklmnoprstufyee", strict=True)) | {
    "є": "ie", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ю": "iu",
    "я": "ia", "ь": "", "ъ": "", "’": "", "ʼ": "",
}  # fmt: skip
INITIAL = {"є": "ye", "ї": "yi", "й": "y", "ю": "yu", "я": "ya"}


def vocative(name: str) -> str:
    """
    «Олена» → «Олено», «Андрій» → «Андрію», «Олена Петрівна» → «Олено Петрівно»; a name in another
    script, or of no rule, stays as it is, and so does a surname.
    """
    if len(name) > NAME_LENGTH_MAX:
        return name
    first, *others = name.split(" ")
    if others:
        rest = [vocative(one) if one.lower().endswith(PATRONYMICS) else one for one in others]
        return " ".join([vocative(first), *rest])
    if "-" in name:
        # «Жан-Поль»: the first of such a pair is no name of its own
        head, _, tail = name.partition("-")
        return f"{head if head.lower() == 'жан' else vocative(head)}-{vocative(tail)}"
    lower = name.lower()
    if lower in EXCEPTIONS:
        found = EXCEPTIONS[lower]
        found = found if name[:1].isupper() else found.lower()
    else:
        found = by_rule(name, lower)
    return found.upper() if len(name) > 1 and name.isupper() else found


def by_rule(name: str, lower: str) -> str:
    """The vocative by the last letters of a name."""
    cyrillic = all("а" <= letter <= "ґ" or letter in "’ʼ'" for letter in lower)
    if len(lower) < 2 or not cyrillic or lower in UNCHANGED:
        return name
    stem, last, before = name[:-1], lower[-1], lower[-2]
    match last:
        case "а":
            return stem + ("е" if before in "чщ" else "о")
        case "я":
            return stem + ("є" if before in VOWELS + "й’ʼ'" else "ю")
        case "й" | "ь":
            return stem + "ю"
        case "о" if before == "к":
            return stem + "у"
        case "о" if before == "л" or lower.endswith("тро"):
            return stem + "е"
    if last in VOWELS:
        return name
    return name + ("у" if last in "жчшщкгх" else "е")


def romanise(text: str) -> str:
    """Ukrainian in Latin letters; everything else stays as it is."""
    out: list[str] = []
    for position, letter in enumerate(text):
        lower = letter.lower()
        starts = position == 0 or (
            not text[position - 1].isalpha() and text[position - 1] not in "’ʼ'"
        )
        if lower == "г" and position and text[position - 1].lower() == "з":
            new = "gh"
        elif starts and lower in INITIAL:
            new = INITIAL[lower]
        elif (
            lower == "'" and 0 < position < len(text) - 1 and text[position - 1].lower() in LETTERS
        ):
            new = ""
        elif lower in LETTERS:
            new = LETTERS[lower]
        else:
            out.append(letter)
            continue
        if letter.isupper():
            shout = position + 1 < len(text) and text[position + 1].isupper()
            new = new.upper() if shout else new[:1].upper() + new[1:]
        out.append(new)
    return "".join(out)
