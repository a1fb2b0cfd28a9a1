"""Puts the course into the package when it is built; all else is in pyproject.toml.

An installed package can so lay out lessons, notebooks and homework (`python -m minillm init DIR`) and write the kit.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

COURSE = ("lessons", "notebooks", "tests/homework", "site", "requirements.txt", "pyproject.toml", "setup.py", "Makefile", "lab.bat",
          "LICENSE", "README.md", "README.zh.md")  # fmt: skip


class WithCourse(build_py):
    """build_py that also copies COURSE into minillm/course/."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the package stays in the checkout, next to the course
            return
        target = Path(self.build_lib, "minillm", "course")
        shutil.rmtree(target, ignore_errors=True)
        for name in COURSE:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if Path(name).is_dir():
                shutil.copytree(name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            else:
                shutil.copyfile(name, target / name)


setup(cmdclass={"build_py": WithCourse})
