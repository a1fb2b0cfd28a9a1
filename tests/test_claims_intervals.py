"""Student's t against tables, and simulated experiments: how often the interval covers the truth."""

import numpy as np
import pytest

from minillm.claims.intervals import holm, p_value, t_inside, t_interval, t_quantile

TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 7: 2.365, 10: 2.228, 30: 2.042}


@pytest.mark.parametrize(("freedom", "t"), TABLE.items())
def test_t_is_that_of_the_tables(freedom, t):
    assert t_quantile(0.95, freedom) == pytest.approx(t, abs=5e-4)
    assert t_inside(t_quantile(0.8, freedom), freedom) == pytest.approx(0.8)
    assert t_inside(0, freedom) == pytest.approx(0) and t_inside(float("inf"), freedom) == 1


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 8])
def test_t_is_the_integral_of_its_density(freedom):
    angle = (np.arange(2_000_000) + 0.5) / 2_000_000 * np.pi - np.pi / 2
    x = np.tan(angle)  # over the whole line, in steps of d tan = 1 + x²
    mass = (1 + x**2 / freedom) ** (-(freedom + 1) / 2) * (1 + x**2)
    assert t_inside(3, freedom) == pytest.approx(mass[np.abs(x) < 3].sum() / mass.sum(), abs=1e-5)


def test_an_interval_by_hand():
    # mean 3, standard deviation √2.5, n = 5: half a width is 2.776 · √2.5 / √5
    low, high = t_interval([1, 2, 3, 4, 5])
    assert (low, high) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-4)
    assert t_interval([0.1] * 7) == pytest.approx((0.1, 0.1)) and np.isnan(t_interval([1])).all()
    assert np.isnan(t_interval([1, float("nan"), 2])).all() and np.isnan(t_interval([])).all()


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_p_is_below_5_percent_where_the_interval_is_clear_of_0(n):
    rng = np.random.default_rng(n)
    for values in rng.normal(0.8, 1, (200, n)):
        low, high = t_interval(values)
        assert (p_value(values) < 0.05) == (low > 0 or high < 0)
        assert p_value(values) == pytest.approx(p_value(-values)) == pytest.approx(p_value(7 * values))
    assert p_value([0.5, 0.5]) == 0 and p_value([0.0, 0.0]) == 1 and np.isnan(p_value([1.0]))


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"a": 0.9, "b": 0.6}) == {"a": 1.0, "b": 1.0} and holm({}) == {}


# ------------------------------------------------------------------------------ simulated experiments

WORLDS, EXPERIMENTS = 40, 100


def simulate(effect: float, seeds: int, spread: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Experiments as the claims run them: (truth, the difference of the conditions for each seed).

    A world has 64 places, some harder than others and some more affected than others. Each seed splits them anew
    and asks 7 questions (right or wrong) about each of 32 held-out ones in both conditions: 224 marks, which go
    together by place. A seed also moves the difference as a whole, by a normal deviation of `spread`. The truth is the
    mean effect over the places and seeds that could have been drawn: (W), (W, X, S).
    """
    ease = rng.normal(0.5, 0.15, (WORLDS, 64))
    gains = effect + rng.normal(0, 0.1, (WORLDS, 64))
    held_out = rng.random((WORLDS, EXPERIMENTS, seeds, 64)).argsort(-1)[..., :32]  # (W, X, S, E)
    world = np.arange(WORLDS)[:, None, None, None]
    shift = rng.normal(0, spread, (WORLDS, EXPERIMENTS, seeds, 1))
    worse, better = (ease - 0.5 * gains)[world, held_out], (ease + 0.5 * gains)[world, held_out]
    marks = [rng.binomial(7, np.clip(p + sign * shift / 2, 0, 1)) / 7 for p, sign in ((worse, -1), (better, 1))]
    return gains.mean(-1), (marks[1] - marks[0]).mean(-1)


@pytest.mark.parametrize("seeds", [5, 8])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.08])
@pytest.mark.parametrize("effect", [0.0, 0.05, 0.2])
def test_the_interval_covers_the_truth_in_95_percent_of_experiments(effect, spread, seeds):
    rng = np.random.default_rng([int(1000 * effect), int(1000 * spread), seeds])
    truth, found = simulate(effect, seeds, spread, rng)
    half = t_quantile(0.95, seeds - 1) * found.std(-1, ddof=1) / np.sqrt(seeds)  # as t_interval, for all at once
    assert (found[3, 7].mean() - half[3, 7], found[3, 7].mean() + half[3, 7]) == pytest.approx(t_interval(found[3, 7]))
    covered = np.abs(found.mean(-1) - truth[:, None]) <= half
    assert 0.93 <= covered.mean() <= 0.97
    if effect == 0:  # with the world's own effect, which is only about 0, taken off: what `verdict` would call clear
        centred = found - truth[:, None, None]
        assert ((centred.mean(-1) > half) & (centred > 0).all(-1)).mean() <= 0.025


def test_resampling_places_alone_is_far_too_sure():
    """What an interval is worth that takes the seeds for fixed: the reason for this one."""
    rng = np.random.default_rng(1)
    truth, found = simulate(0.0, 3, 0.08, rng)
    within = np.sqrt(2 * 0.25 / 224 / 3)  # about what the marks of 3 × 224 questions scatter by themselves
    assert (np.abs(found.mean(-1) - truth[:, None]) <= 1.96 * within).mean() < 0.75
