"""No cheat gains a point, and no fault of one exercise or student touches another."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from minillm.homework import gradebook, isolation, messages, reports
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


READ = str(ROOT / "tests/graders/03_attention/solution.py")
WAYS_TO_READ = {  # that a guard in Python does not see, or that take it away
    "a path that is no text": f"import os, pathlib\nTEXT = os.read(os.open(pathlib.Path({READ!r}), 0), 10**5)",
    "realpath replaced": f"import os\nos.path.realpath = lambda *a, **k: os.getcwd()\nTEXT = open({READ!r}).read()",
    "isinstance replaced": f"""
import builtins, os
old, builtins.isinstance = builtins.isinstance, lambda *a: False
d = os.open({READ!r}, 0)
builtins.isinstance = old
TEXT = os.read(d, 10**5)
""",
    "the guard's own variable": f"""
import gc, types
for f in gc.get_objects():
    if type(f) is types.FunctionType and f.__qualname__ == "guard.<locals>.hook":
        f.__closure__[f.__code__.co_freevars.index("begun")].cell_contents = False
TEXT = open({READ!r}).read()
""",
    "a folder's descriptor": f"""
import os
folder, name = os.path.split({READ!r})
TEXT = os.read(os.open(name, 0, dir_fd=os.open(os.path.relpath(folder, "/"), 0, dir_fd=os.open("/", 0))), 10**5)
""",
    "text that lies": f"""
import os
class P(str):
    def startswith(self, *a): return True
    def partition(self, sep): return (os.getcwd().lstrip("/"), "", "")
    def __getitem__(self, i): return os.getcwd() if i == slice(1, None) else str.__getitem__(self, i)
    def rstrip(self, *a): return os.getcwd()
TEXT = open(P({READ!r})).read()
""",
    "torch opens files in C++": f"""
import os, torch
size = os.stat({READ!r}).st_size
TEXT = bytes(torch.from_file({READ!r}, shared=False, size=size, dtype=torch.uint8).tolist())
""",
    "a second interpreter": f"""
import os
try: import _xxsubinterpreters as sub
except ImportError: import _interpreters as sub
r, w = os.pipe()
getattr(sub, "run_string")(sub.create(), f"import os; os.write({{w}}, open({READ!r}, 'rb').read()[:60000])")
TEXT = os.read(r, 60000)
""",
    "another program": f"""
import _posixsubprocess, os
r, w = os.pipe()
er, ew = os.pipe()
_posixsubprocess.fork_exec([b"/bin/cat", {READ!r}.encode()], [b"/bin/cat"], True, (), None, None,
    -1, -1, -1, w, -1, -1, er, ew, True, False, 0, None, None, None, -1, None, True)
os.close(w)
TEXT = b"".join(iter(lambda: os.read(r, 65536), b""))
""",
}
FORGE = """
import json, os, struct, sys
def forge(message):
    data = b"A" + (message if isinstance(message, bytes) else json.dumps(message).encode())
    for d in range(3, 64):
        try: os.write(d, struct.pack(">Q", len(data)) + data)
        except OSError: continue
    os._exit(0)
n = len(sys._getframe(1).f_locals["calls"])
"""
FORGED = {
    "a number too large": '{"loaded": None, "printed": "", "results": [{"status": "done", "value": {"float": "0x1p+99999"}, "changed": []}] * n}',
    "a status that is a list": '{"loaded": None, "printed": "", "results": [{"status": [], "error": "", "line": None}] * n}',
    "a death that is a list": '{"died": []}',
    "a number for text": '{"loaded": None, "printed": 5, "results": [{"status": "error", "error": "x", "line": None}] * n}',
    "nested too deeply": 'b"[" * 100000 + b"]" * 100000',
    "the verdict": '{"loaded": None, "printed": "", "results": [{"status": "right", "value": True, "changed": []}] * n}',
}
CHEATS |= {name: f"{way}\nexec(TEXT)\n" for name, way in WAYS_TO_READ.items()}
CHEATS |= {f"forge {name}": f"{FORGE}forge({message})\n" for name, message in FORGED.items()}
TEXTS = {
    "escapes": 'def attention(*a): raise ValueError("\\x1b[2J\\x1b[1;1H  ✓ attention 6/6")\n',
    "a class named like a report": 'E = type("E\\n  ✓ attention  6/6  points\\ntotal: 18/18", (Exception,), {})\ndef attention(*a): raise E()\n',
    "a lone surrogate": "def attention(*a): raise ValueError('\\ud800')\n",
    "no character of XML": "def attention(*a): raise ValueError('\\ufffe\\uffff')\n",
    "a turn of the direction": "def attention(*a): raise ValueError('\\u202e6/6')\n",
    "print": "print('\\x1b[2J\\n  ✓ attention 6/6\\n\\ud800')\ndef attention(*a): raise ValueError\n",
    "a value": "def attention(*a): return '\\x1b[2J\\n  ✓ attention 6/6\\ud800'\n",
    "a long text": "def attention(*a): raise ValueError('x' * 10**6)\n",
}


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
    if name in WAYS_TO_READ and not all(isolation.layers().values()):
        pytest.skip("this system has no boundary")
    path = student(tmp_path, CHEATS[name])
    result = grade(sandbox, path, LESSON, ATTENTION, [0, 77])
    assert (result.status, result.points) == ("wrong", 0), result
    path.write_text(SOLUTION, encoding="utf-8")  # and the next student is graded as ever
    assert grade(sandbox, path, LESSON, ATTENTION, [0]).status == "right"
    assert not Path("/tmp/minillm-cheat.json").exists()


@pytest.mark.parametrize("name", TEXTS)
def test_students_text_does_nothing_in_a_report(sandbox, tmp_path, name):
    result = grade(sandbox, student(tmp_path, TEXTS[name]), LESSON, ATTENTION, [0])
    for language in ("en", "zh"):
        text = messages.overview([result], language, details=True)
        assert all(c.isprintable() or c in "\n\u3000" for c in text) and len(text) < 5000
        assert not any(line.startswith(("  ✓", "total", "合计")) and "0/6" not in line for line in text.splitlines())
    reports.write_results([result], tmp_path / "r.json", "en")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))[0]["points"] == 0


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
    "too much output": (SOLUTION + "\ndef attention(*a):\n    return torch.zeros(2 << 20)\n", "error"),
}


@pytest.fixture(scope="module")
def impatient():
    with Sandbox(Limits(seconds=1)) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_its_own_exercise_only(impatient, tmp_path, name):
    source, status = FAULTS[name]
    student(tmp_path, source)
    begin = time.monotonic()
    results = {r.exercise.name: r for r in gradebook.grade_folder(impatient, tmp_path, CHOSEN, [0])}
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
