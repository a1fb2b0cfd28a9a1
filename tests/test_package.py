"""The project as a package: laid out in a folder, built, installed elsewhere and used from there."""

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from minillm.__main__ import main
from minillm.homework import kit, tutor
from minillm.homework.lessons import all_lessons
from minillm.plumbing import course

ROOT = Path(__file__).parents[1]


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ----------------------------------------------------------------------------------------------- init


def test_init_lays_out_the_course_and_never_touches_a_file(tmp_path, capsys):
    desk = tmp_path / "new" / "desk"
    mine = desk / "lessons/03_attention/homework.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("my work", encoding="utf-8")
    (desk / "LICENSE").symlink_to(tmp_path / "nowhere")
    assert main(["init", str(desk), "--lang", "en"]) == 0
    (desk / "LICENSE").unlink()
    written = files_in(desk)
    assert f"{len(written) - 1} files written; 2 were there" in capsys.readouterr().out
    assert written.pop("lessons/03_attention/homework.py") == b"my work" and not (tmp_path / "nowhere").exists()
    names = {f"lessons/{lesson.folder}/homework.py" for lesson in all_lessons()} - {"lessons/03_attention/homework.py"}
    names |= {f"notebooks/{language}/{lesson.folder}.ipynb" for language in ("en", "zh") for lesson in all_lessons()}
    assert {*names, "AGENTS.md", "lessons/claims.json", "tests/homework/test_my_homework.py"} <= written.keys()
    for name in written.keys() - {"AGENTS.md"}:
        assert written[name] == (ROOT / name).read_bytes(), name
    assert main(["init", str(desk), "--lang", "zh"]) == 0
    assert (
        f"写了 1 个文件；已有的 {len(written) + 1} 个" in capsys.readouterr().out
    )  # LICENSE, which the link kept away
    (tmp_path / "file").touch()
    assert main(["init", str(tmp_path / "file")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_one_works_in_the_nearest_folder_with_homework(tmp_path, monkeypatch):
    inner = tmp_path / "a/notebooks/zh"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert course.desk() == ROOT
    monkeypatch.setattr(course, "PACKAGE", tmp_path / "site/minillm")  # installed
    assert (course.desk(), course.shipped()) == (inner, tmp_path / "site/minillm/course")
    for folder in ("", "a"):
        (tmp_path / folder / "lessons/03_attention").mkdir(parents=True)
        (tmp_path / folder / "lessons/03_attention/homework.py").touch()
        assert course.desk() == tmp_path / folder


# -------------------------------------------------------------------------------- rules for an assistant


def test_the_rules_name_every_exercise_its_part_of_the_lesson_and_its_misconceptions():
    text = tutor.rules(all_lessons())
    lines = {(number, m[1]): line for number, part in enumerate(re.split(r"\n## \w+ ", text))
             for line in part.splitlines() if (m := re.match(r"- `(\w+)`, explained", line))}  # fmt: skip
    exercises = {(i, e.name): e for i, lesson in enumerate(all_lessons(), 1) for e in lesson.exercises}
    assert lines.keys() == exercises.keys()
    for key, exercise in exercises.items():
        named = lines[key].rpartition(": ")[2].split(", ")
        assert len(named) == len(set(named)) and set(named) == {
            m.name for m in exercise.misconceptions + exercise.slips
        }
        assert exercise.section["en"] in lines[key] and exercise.section["zh"] in lines[key]
    assert not any(m.message["en"] in text for e in exercises.values() for m in e.misconceptions)  # it gives no fix


# ------------------------------------------------------------------------------------ what is not installed


@pytest.mark.parametrize(
    ("package", "command", "file"),
    [
        ("tqdm", ["world"], "requirements.txt"),
        ("tyro", ["homework"], "requirements.txt"),
        ("torch", ["homework", "3"], "requirements.txt"),
        ("jupytext", ["notebooks"], "lessons/requirements.txt"),
    ],
)
def test_a_package_that_is_not_installed_is_one_line(tmp_path, package, command, file):
    code = f"import sys; sys.modules[{package!r}] = None; import minillm.__main__ as m; sys.exit(m.main({command!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 2, done
    assert done.stderr == (
        f"error: the package {package} is not installed here: {sys.executable} -m pip install -r {ROOT / file}\n"
    )


def test_an_import_that_fails_for_another_reason_is_a_fault_of_the_program(monkeypatch):
    def wrong(*_):
        raise ImportError("cannot import name 'x'", name="minillm.world")

    monkeypatch.setattr(kit, "lay_out", wrong)
    with pytest.raises(ImportError, match="cannot import"):
        main(["init", "somewhere"])


# ---------------------------------------------------------------------------------------------- installed


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The interpreter of a fresh environment in which the built package is installed, and sees nothing of ours."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed: a package cannot be built offline")
    work = tmp_path_factory.mktemp("installed")
    kit.release(work / "kit")  # so building leaves nothing behind in the checkout
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(work), str(work / "kit")],
                   check=True)  # fmt: skip
    (wheel,) = work.glob("*.whl")
    venv.create(work / "venv", symlinks=os.name != "nt")
    bin_folder = work / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = bin_folder / ("python.exe" if os.name == "nt" else "python")
    site = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    subprocess.run([*pip, "install", "--no-deps", "--target", site, str(wheel)], check=True)
    for name in ("purelib", "platlib"):  # what it depends on need not be installed twice
        Path(site, f"{name}.pth").write_text(sysconfig.get_paths()[name] + "\n", encoding="utf-8")
    return python


def use(python: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, "-m", "minillm", *words], cwd=cwd, env=environment | {"OMP_NUM_THREADS": "1"},
                          capture_output=True, encoding="utf-8", check=False)  # fmt: skip


@pytest.mark.slow
def test_an_installed_package_is_a_whole_program(installed, tmp_path):
    none = use(installed, tmp_path, "homework", "3")
    assert none.returncode == 2 and "python -m minillm init DIR" in none.stderr
    assert use(installed, tmp_path, "init", "desk").returncode == 0
    kit.lay_out(tmp_path / "expected")
    assert files_in(tmp_path / "desk") == files_in(tmp_path / "expected")
    solution = next((ROOT / "tests/graders/03_attention").glob("solution*.py"))
    (tmp_path / "desk/lessons/03_attention/homework.py").write_bytes(solution.read_bytes())
    graded = use(installed, tmp_path / "desk/notebooks/zh", "homework", "3", "--lang", "en")  # where it is printed
    assert graded.returncode == 0 and "total: 15/15 points" in graded.stdout, graded
    listed = use(installed, tmp_path, "claims")
    assert listed.returncode == 0 and "reproduced" in listed.stdout
    where = "import minillm.base_cache as b, minillm; print(b.CACHE, minillm.__file__)"
    cache, package = subprocess.run([installed, "-c", where], cwd=tmp_path / "desk/notebooks/zh", capture_output=True,
                                    encoding="utf-8", check=True).stdout.split()  # fmt: skip
    assert Path(cache) == tmp_path / "desk/runs/bases" and not Path(package).is_relative_to(ROOT)


@pytest.mark.slow
def test_an_installed_package_hands_out_the_same_as_a_checkout(installed, tmp_path):
    assert use(installed, tmp_path, "homework", "--release", "theirs").returncode == 0
    kit.release(tmp_path / "ours")
    ours, theirs = files_in(tmp_path / "ours"), files_in(tmp_path / "theirs")
    assert theirs.keys() == ours.keys() and theirs == ours
    assert use(installed, tmp_path, "homework", "3", "--gradescope", "theirs", "--lang", "en").returncode == 0
    kit.write_gradescope(tmp_path / "ours", "en", 3)
    with (
        zipfile.ZipFile(tmp_path / "ours/autograder.zip") as one,
        zipfile.ZipFile(tmp_path / "theirs/autograder.zip") as other,
    ):
        assert {n: one.read(n) for n in one.namelist()} == {n: other.read(n) for n in other.namelist()}
