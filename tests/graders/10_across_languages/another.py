"""Characters one by one, loops, whole numbers."""


def answer_language(text):
    counts = {"zh": 0, "en": 0}
    inside = False
    for character in text:
        letter = "a" <= character.lower() <= "z" and len(character.lower()) == 1 and character.isascii()
        counts["zh"] += "\u4e00" <= character <= "\u9fff"
        counts["en"] += letter and not inside
        inside = letter
    if not any(counts.values()):
        return "none"
    for language, other in (("zh", "en"), ("en", "zh")):
        if counts[language] >= 4 * counts[other]:
            return language
    return "mixed"


def score_answer(answer, language, accepted, asked):
    def core(text):
        text = text.strip()
        while text and text[-1] in ".。!！?？ ":
            text = text[:-1]
        return text

    right = {name: any(core(form) == core(answer) for form in forms) for name, forms in accepted.items()}
    return [language == asked, any(right.values()), right.get(asked, False)]


def transfer_ratio(base, cross, direct):
    (rb, nb), (rc, nc), (rd, nd) = ((int(sum(marks)), len(marks)) for marks in (base, cross, direct))
    gain, whole = (rc * nb - rb * nc) * nd, (rd * nb - rb * nd) * nc  # over the common denominator nb nc nd
    return gain / whole if whole > 0 else None
