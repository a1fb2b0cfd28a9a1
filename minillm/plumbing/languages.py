"""The two languages of all that a reader is shown: English and Simplified Chinese."""

from collections.abc import Mapping

Text = Mapping[str, str]
"""The same sentence in both languages: {"en": …, "zh": …}."""
