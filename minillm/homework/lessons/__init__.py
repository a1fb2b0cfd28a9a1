"""The exercises of each lesson: a module `lNN_name` with its LESSON, long ones with a second part."""

import importlib
import pkgutil

from minillm.homework.exercise import Lesson


def all_lessons() -> list[Lesson]:
    """Every lesson that has exercises, in order."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [module.LESSON for module in modules if hasattr(module, "LESSON")]
