"""No cheat gains a point, and no fault of one exercise or student touches another."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from minillm.homework import gradebook
from minillm.homework.child import encode
from minillm.homework.grade import grade, make_inputs
from minillm.homework.sandbox import Limits, Sandbox

ROOT = Path(__file__).parents[2]
CHOSEN = gradebook.choose(3, None)
LESSON, ATTENTION = gradebook.choose(3, "attention")[0]
SOLUTION = (ROOT / "tests/graders/03_attention/solution.py").read_text(encoding="utf-8")

CHEATS = {
    "import the reference": "from minillm.gpt import attention\n",
    "import the reference later": "def attention(q, k, v, mask):\n    import minillm.gpt\n    return minillm.gpt.attention(q, k, v, mask)\n",
    "import by path": f"""
import importlib.util
spec = importlib.util.spec_from_file_location("gpt", {str(ROOT / "minillm/gpt.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
attention = module.attention
""",
    "read the reference": f"""
import builtins
source = builtins.open({str(ROOT / "tests/graders/03_attention/solution.py")!r}).read()
exec(source)
""",
    "read the reference by descriptor": f"""
import os
d = os.open({str(ROOT / "tests/graders/03_attention/solution.py")!r}, os.O_RDONLY)
exec(os.read(d, 100000))
""",
    "put the project on the path": f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom minillm.gpt import attention\n",
    "run another program": f"""
import subprocess, sys
def attention(q, k, v, mask):
    code = "import sys; sys.path.insert(0, {str(ROOT)!r}); import minillm.gpt"
    subprocess.run([sys.executable, "-c", code], check=True)
    raise ValueError
""",
    "patched allclose": """
import numpy, torch
torch.allclose = numpy.allclose = torch.equal = numpy.array_equal = lambda *a, **k: True
def attention(q, k, v, mask):
    return q * 0, q @ k.mT * 0
""",
    "a tensor that equals everything": """
import torch
class Same(torch.Tensor):
    def __eq__(self, other): return torch.ones(())  > 0
    def numpy(self, *a, **k): raise RuntimeError
    @classmethod
    def __torch_function__(cls, f, types, args=(), kwargs=None): return True
def attention(q, k, v, mask):
    return (q * 0).as_subclass(Same), (q @ k.mT * 0).as_subclass(Same)
""",
    "an array that equals everything": """
import numpy as np
class Same(np.ndarray):
    def __eq__(self, other): return True
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return True
def attention(q, k, v, mask):
    return np.zeros(q.shape).view(Same), np.zeros((*q.shape[:3], k.shape[2])).view(Same)
""",
    "an object that equals everything": """
class Same:
    def __eq__(self, other): return True
    def __len__(self): return 2
    def __iter__(self): return iter((self, self))
def attention(q, k, v, mask):
    return Same()
""",
    "not a number everywhere": """
def attention(q, k, v, mask):
    return q * float("nan"), q @ k.mT * float("nan")
""",
    "a number that broadcasts": """
import numpy as np
def attention(q, k, v, mask):
    return np.float64(0), np.float64(0)
""",
    "look for the answer in the frames": """
import sys
def attention(q, k, v, mask):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            for name in ("expected", "reference", "right"):
                if isinstance(value, dict) and name in value:
                    return value[name]
            if getattr(value, "__name__", "") == "attention" and value is not attention:
                return value(q, k, v, mask)
        frame = frame.f_back
""",
    "look for the answer in memory": """
import gc
def attention(q, k, v, mask):
    for value in gc.get_objects():
        if callable(value) and getattr(value, "__name__", "") == "attention" and value is not attention:
            return value(q, k, v, mask)
""",
    "write into every descriptor": """
import json, os, struct
answer = json.dumps({"loaded": None, "results": [{"status": "right", "points": 6, "value": True}] * 40, "printed": ""}).encode()
for d in range(1, 64):
    try: os.write(d, struct.pack(">Q", len(answer)) + answer)
    except OSError: pass
""",
    "forge the child's own functions": """
import sys
main = sys.modules["__main__"]
for name in ("encode", "encode_array", "fault", "answer", "send"):
    setattr(main, name, lambda *a, **k: {"status": "right", "list": []})
def attention(q, k, v, mask):
    return None
""",
    "leave with success": "import os\nos._exit(0)\n",
    "leave when called": "import sys\ndef attention(q, k, v, mask):\n    sys.exit(0)\n",
    "kill the parent": """
import os, signal
def attention(q, k, v, mask):
    os.kill(os.getppid(), signal.SIGKILL)
    raise ValueError
""",
    "fork and answer twice": """
import os
def attention(q, k, v, mask):
    os.fork()
    raise ValueError
""",
    "write a results file": """
import json
for name in ("results.json", "/tmp/minillm-cheat.json", "../results.json"):
    try: open(name, "w").write(json.dumps({"score": 100}))
    except OSError: pass
def attention(q, k, v, mask):
    raise ValueError
""",
    "print a good grade": "print('attention 6/6 right')\ndef attention(q, k, v, mask):\n    print('3 passed')\n    return None\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


def student(folder: Path, source: str) -> Path:
    path = folder / LESSON.folder / "homework.py"
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_gains_nothing(sandbox, tmp_path, name):
    path = student(tmp_path, CHEATS[name])
    result = grade(sandbox, path, LESSON, ATTENTION, [0, 77])
    assert (result.status, result.points) == ("wrong", 0), result
    path.write_text(SOLUTION, encoding="utf-8")  # and the next student is graded as ever
    assert grade(sandbox, path, LESSON, ATTENTION, [0]).status == "right"
    assert not Path("/tmp/minillm-cheat.json").exists()


def test_answers_to_the_visible_seed_learned_by_heart_gain_nothing(sandbox, tmp_path):
    known = {}
    for _, arguments in make_inputs(ATTENTION, [0]):
        known[json.dumps([encode(a) for a in arguments])] = [encode(v) for v in ATTENTION.reference(*arguments)]
    source = f"""
import json, sys
KNOWN = json.loads({json.dumps(json.dumps(known))})
main = sys.modules["__main__"]
def attention(q, k, v, mask):
    found = KNOWN[json.dumps([main.encode(a) for a in (q, k, v, mask)])]
    return tuple(main.decode(v) for v in found)
"""
    path = student(tmp_path, source)
    assert grade(sandbox, path, LESSON, ATTENTION, [0]).status == "right"  # the cheat itself works
    assert 0 not in gradebook.default_seeds()[1:]
    assert grade(sandbox, path, LESSON, ATTENTION, gradebook.default_seeds()).points == 0


def test_a_conftest_beside_the_homework_is_never_run(sandbox, tmp_path):
    path = student(tmp_path, "def attention(q, k, v, mask):\n    raise NotImplementedError\n")
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    for folder in (tmp_path, path.parent):
        for name in ("conftest.py", "sitecustomize.py", "torch.py", "numpy.py"):
            (folder / name).write_text(trap)
    assert [r.points for r in gradebook.grade_folder(sandbox, tmp_path, CHOSEN, [0])] == [0] * len(CHOSEN)
    assert not (tmp_path / "ran").exists()


def test_a_link_out_of_the_folder_is_not_followed(sandbox, tmp_path):
    (tmp_path / LESSON.folder).mkdir()
    (tmp_path / LESSON.folder / "homework.py").symlink_to(ROOT / "tests/graders/03_attention/solution.py")
    results = list(gradebook.grade_folder(sandbox, tmp_path, CHOSEN, [0]))
    assert {(r.status, r.points) for r in results} == {("todo", 0)}


FAULTS = {
    "a syntax error": ("def attention(q, k, v, mask)\n    return\n", "error"),
    "an error while loading": ("1 / 0\n", "error"),
    "no such function": ("", "error"),
    "an endless loop": (SOLUTION + "\ndef attention(q, k, v, mask):\n    while True: pass\n", "time"),
    "a long sleep": (SOLUTION + "\nimport time\ndef attention(q, k, v, mask):\n    time.sleep(1000)\n", "time"),
    "ten GiB": (SOLUTION + "\ndef attention(q, k, v, mask):\n    return torch.ones(10 << 28)\n", "memory"),
    "a long list": (SOLUTION + "\ndef attention(q, k, v, mask):\n    return [0] * (10 << 30)\n", "memory"),
    "endless recursion": (SOLUTION + "\ndef attention(*a):\n    return attention(*a)\n", "error"),
    "os._exit(0)": (SOLUTION + "\nimport os\ndef attention(*a):\n    os._exit(0)\n", "crash"),
    "too much output": (SOLUTION + "\ndef attention(*a):\n    return torch.zeros(40 << 20)\n", "error"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_its_own_exercise_only(tmp_path, name):
    source, status = FAULTS[name]
    student(tmp_path, source)
    begin = time.monotonic()
    with Sandbox(Limits(seconds=1)) as sandbox:
        results = {r.exercise.name: r for r in gradebook.grade_folder(sandbox, tmp_path, CHOSEN, [0])}
    assert time.monotonic() - begin < 60
    failed = results["attention"]
    assert (failed.status, failed.points) == ("wrong", 0)
    assert failed.failure.outcome.status == status, failed.failure
    assert failed.failure.message["zh"] and failed.failure.message["en"]
    if source.startswith(SOLUTION):
        assert all(r.status == "right" for name, r in results.items() if name != "attention")


def test_right_work_in_a_submission_needs_no_more_rights_than_it_gets(sandbox, tmp_path):
    source = (
        SOLUTION
        + "\nimport collections, functools, itertools, math, re, random, heapq, statistics\nimport numpy.linalg\n"
    )
    assert grade(sandbox, student(tmp_path, source), LESSON, ATTENTION, [0]).status == "right"


def test_the_sandbox_leaves_nothing_behind(tmp_path):
    with Sandbox() as sandbox:
        home = sandbox.home
        grade(sandbox, student(tmp_path, SOLUTION), LESSON, ATTENTION, [0])
        server = sandbox.server.pid
    assert not home.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


def test_seeds_give_other_inputs():
    def first(seed):
        return make_inputs(ATTENTION, [seed])[0][1][0].numpy()

    assert np.array_equal(first(0), first(0)) and not np.array_equal(first(0), first(1))
