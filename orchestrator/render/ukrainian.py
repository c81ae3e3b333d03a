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
SOFT_A = ("ш", "ж", "ч", "щ")
LETTERS = dict(zip("абвгґдезиіїйклмнопрстуфыэё", "abvhgdezyiiiklmnoprstufyee", strict=True)) | {
    "є": "ie", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ю": "iu",
    "я": "ia", "ь": "", "ъ": "", "’": "", "ʼ": "",
}  # fmt: skip
INITIAL = {"є": "ye", "ї": "yi", "й": "y", "ю": "yu", "я": "ya"}


def vocative(name: str) -> str:
    """
    «Олена» → «Олено», «Андрій» → «Андрію»; a name in another script, or of no rule, stays as it is.
    """
    if "-" in name:
        return "-".join(vocative(part) for part in name.split("-"))
    lower = name.lower()
    if lower in EXCEPTIONS:
        return EXCEPTIONS[lower]
    if len(lower) < 2 or not all("а" <= letter <= "ґ" or letter in "’ʼ'-" for letter in lower):
        return name
    stem, last = name[:-1], lower[-1]
    before = lower[-2]
    if last == "а":
        return stem + ("е" if before in SOFT_A else "о")
    if last == "я":
        return stem + ("є" if before in VOWELS + "’ʼ'" else "ю")
    if last == "й":
        return stem + "ю"
    if last == "ь":
        return stem + "ю"
    if last == "о":
        return stem + ("у" if before == "к" else "е")
    if last in VOWELS:
        return name
    if last in "жчшщ":
        return name + "у"
    if last == "к" or lower.endswith(("г", "х")):
        return name + "у"
    if last == "р" and lower.endswith("яр"):
        return name + "е"
    return name + "е"


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
