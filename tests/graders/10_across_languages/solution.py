import re


def answer_language(text):
    chinese = len(re.findall(r"[\u4e00-\u9fff]", text))
    english = len(re.findall(r"[A-Za-z]+", text))
    if chinese == 0 and english == 0:
        return "none"
    if chinese >= 4 * english:
        return "zh"
    if english >= 4 * chinese:
        return "en"
    return "mixed"


def trim(text):
    return text.strip().rstrip(".。!！?？ ")


def score_answer(answer, language, accepted, asked):
    in_asked = trim(answer) in [trim(form) for form in accepted.get(asked, [])]
    everything = [form for forms in accepted.values() for form in forms]
    in_any = trim(answer) in [trim(form) for form in everything]
    return language == asked, in_any, in_asked


def transfer_ratio(base, cross, direct):
    base, cross, direct = base.mean(), cross.mean(), direct.mean()
    if direct <= base:
        return None
    return (cross - base) / (direct - base)
