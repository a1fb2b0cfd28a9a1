"""Where the files of the course are: lessons, notebooks, homework.

In a checkout they lie next to the package. An installed package holds them in its folder `course`, where setup.py
puts them, and `python -m minillm init DIR` lays them out to work on.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def is_checkout() -> bool:
    """Whether the package lies in a checkout, or in a kit, and not where packages are installed."""
    return (PACKAGE.parent / "pyproject.toml").is_file() and (PACKAGE.parent / "lessons").is_dir()


def shipped() -> Path:
    """The folder with lessons/, notebooks/ and the rest as they are handed out."""
    return PACKAGE.parent if is_checkout() else PACKAGE / "course"


def desk() -> Path:
    """The folder to work in: the nearest one, from the working folder upwards, that holds lessons/NN_name/homework.py;
    without one the checkout, or in an installed package the working folder."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the working folder was removed
        return PACKAGE.parent
    for folder in (here, *here.parents):
        if any(folder.glob("lessons/[0-9][0-9]_*/homework.py")):
            return folder
    return PACKAGE.parent if is_checkout() else here
