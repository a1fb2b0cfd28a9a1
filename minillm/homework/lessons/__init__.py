"""The exercises of each lesson, one module a lesson."""

import importlib
import pkgutil

from minillm.homework.exercise import Lesson


def all_lessons() -> list[Lesson]:
    """Every lesson that has exercises, in order."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    return [importlib.import_module(f"{__name__}.{name}").LESSON for name in names]
