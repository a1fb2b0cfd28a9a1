"""The checks of settings: of what type and in what range, and one short line when a value is not."""

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.gpt_config import GPTConfig
from minillm.lora import LoRAConfig
from minillm.plumbing import checks
from minillm.plumbing.files import InputError
from minillm.sampling import Sampling
from minillm.stage1_pretrain import PretrainConfig
from minillm.stage2_sft import SFTConfig
from minillm.stage3_preference import PreferenceConfig

CONFIGS = (PretrainConfig(), SFTConfig(), PreferenceConfig())


@dataclass(frozen=True)
class Settings:
    """One field of each kind."""

    count: int = 1
    rate: float = 1.0
    most: int | None = None
    decay: float | None = None
    merge: bool = False
    norm: Literal["rms", "layer"] = "rms"
    device: str = "cpu"
    names: tuple[str, ...] = ("a",)
    labelled: Annotated[int, "a label"] = 2


GOOD = {
    "count": (0, -3, 2**63 - 1),
    "rate": (0, 1, -2.5, 1e-46, 1e30, -1e30),
    "most": (None, 7),
    "decay": (None, 0.5, 3),
    "merge": (True, False),
    "norm": ("rms", "layer"),
    "device": ("", "山"),
    "names": ((), ("a", "b"), ["c"]),
    "labelled": (5,),
}
BAD = {
    "count": (True, 1.0, math.nan, "1", None, [1], 2**63, -(2**63), 10**30, 10**5000),
    "rate": (False, math.nan, math.inf, -math.inf, "1.0", None, 1e31, -1e300, 10**400),
    "most": (True, 2.0, "3", 2**64),
    "decay": (math.nan, True, "x", 1e39),
    "merge": (0, 1, "false", None),
    "norm": ("batch", None, 1, True, ["rms"]),
    "device": (None, 3, b"cpu"),
    "names": ("abc", None, (1,), ["a", None]),
    "labelled": (False, 1.5),
}
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=100) | st.lists(st.integers(), max_size=40)
    | st.sampled_from([10**30, -(10**5000), 2**63, 2**62, 1e-46, 1e39, "1\n2", b"\xff", {"a": 1}])
)  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in GOOD.items() for v in values])
def test_a_value_of_the_annotated_type_passes(name, value):
    checks.check_types(Settings(**{name: value}))


@pytest.mark.parametrize(("name", "at"), [(n, i) for n, values in BAD.items() for i in range(len(values))])
def test_a_value_of_another_type_is_named_in_one_short_line(name, at):
    settings = Settings(**{name: BAD[name][at]})
    with pytest.raises(InputError) as caught:
        checks.check_types(settings)
    line = str(caught.value)
    assert line.startswith(f"{name} is ") and ": it must be " in line
    assert "\n" not in line and len(line) < 200
    others = [f.name for f in fields(Settings) if f.name != name]
    checks.check_types(settings, *others)  # only the named fields are looked at


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [(checks.at_least_0, (0, 0.0, 1e-30, 1e30), (-1e-9, 1e-31, 1e-46, 1e39, math.nan, True)),
     (checks.above_0, (1e-30, 1e30, 3), (0, -1, 1e-46, 1e39, math.nan, True)),
     (checks.share, (0, 1e-46, 0.999), (1, -1e-9, math.nan, False))],
)  # fmt: skip
def test_ranges_of_numbers(check, good, bad):
    for value in good:
        check(Settings(rate=value), "rate")
    for value in bad:
        with pytest.raises(InputError, match="rate is"):
            check(Settings(rate=value), "rate")
    check(Settings(decay=None), "decay")  # unset


@pytest.mark.parametrize(("check", "least"), [(checks.at_least_0, 0), (checks.at_least_1, 1), (checks.a_seed, 0)])
def test_ranges_of_whole_numbers(check, least):
    for value in (least, least + 1, 2**63 - 1):
        check(Settings(count=value), "count")
    for value in (least - 1, 2**63, 10**30, 1.0, True, None):
        with pytest.raises(InputError, match="count is"):
            check(Settings(count=value), "count")


@given(data=st.data(), config=st.sampled_from(CONFIGS))
def test_whatever_a_config_is_given_it_is_built_or_refused_in_one_line(data, config):
    name = data.draw(st.sampled_from([f.name for f in fields(config)]))
    value = data.draw(VALUES)
    try:
        built = replace(config, **{name: value})
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 250
        return
    kinds = {f.name: f.type for f in fields(config)}
    assert checks.is_of(kinds[name], getattr(built, name))


@given(value=VALUES, name=st.sampled_from(sorted(asdict(Sampling()))))
def test_whatever_sampling_is_given_it_is_built_or_refused_in_one_line(value, name):
    try:
        built = Sampling(**{name: value})
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert checks.is_of({f.name: f.type for f in fields(Sampling)}[name], getattr(built, name))


@pytest.mark.parametrize(
    ("make", "wrong"),
    [(LoRAConfig, {"rank": 2.0}), (LoRAConfig, {"rank": True}), (LoRAConfig, {"alpha": "16"}),
     (LoRAConfig, {"dropout": math.nan}), (LoRAConfig, {"targets": ("nose",)}), (GPTConfig, {"n_vocab": 0}),
     (GPTConfig, {"n_vocab": 9, "n_head": 3}), (GPTConfig, {"n_vocab": 9, "norm": "batch"}),
     (PretrainConfig, {"vocab_size": 255}), (PretrainConfig, {"precision": "fp8"}), (PretrainConfig, {"clean": "no"}),
     (SFTConfig, {"final_lr": 1.5}), (SFTConfig, {"merge": 1}), (PreferenceConfig, {"beta": "1"})],
)  # fmt: skip
def test_every_config_refuses_as_a_fault_of_its_user(make, wrong):
    with pytest.raises(InputError):
        make(**wrong)
