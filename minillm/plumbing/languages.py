"""The two languages of all that a reader is shown: English and Simplified Chinese."""

import locale
import os
from collections.abc import Mapping

Text = Mapping[str, str]
"""The same sentence in both languages: {"en": …, "zh": …}."""


def default_language() -> str:
    """`zh` where the locale is Chinese, else `en`."""
    chosen = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if (chosen or locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"
