"""Pictures are written whole, without missing glyphs, and show the numbers they should."""

import warnings

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from minillm.classroom.lesson_tools import draw_matrix
from minillm.plumbing import plots
from tests.support import make_font

PRETRAIN = [{"step": s, "loss": 6.0 / s, "lr": 0.1, "tokens": 24.0} for s in range(1, 90)]
SFT = [m | {"answer_loss": m["loss"], "rehearsal_loss": 1.0} for m in PRETRAIN]
PREFERENCE = [{"step": s, "loss": 3.0, "dpo_loss": 1 / s, "chosen_log_prob": -9.0, "rejected_log_prob": -9.0 - s}
              for s in range(1, 90)]  # fmt: skip


@pytest.fixture(autouse=True)
def warnings_are_errors():
    """A missing glyph is only a warning in matplotlib, and an empty box in the picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that were saved."""
    figures, save = [], plots.save_figure
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure) or save(figure, path))
    return figures


@pytest.mark.parametrize("metrics", [PRETRAIN, SFT, PREFERENCE, PRETRAIN[:1], SFT[:2], PREFERENCE[:1]])
def test_training_curves_are_a_png_of_plausible_size_and_nothing_else(tmp_path, metrics):
    plots.training_curves(metrics, tmp_path / "deep" / "curves.png")
    raw = (tmp_path / "deep" / "curves.png").read_bytes()
    assert raw.startswith(b"\x89PNG\r\n\x1a\n") and raw.endswith(b"IEND\xaeB`\x82")
    width, height = (int.from_bytes(raw[i : i + 4], "big") for i in (16, 20))
    assert 300 < width < 2000 and 200 < height < 1000
    assert 5_000 < len(raw) < 500_000
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["curves.png"]


def test_the_same_numbers_give_the_same_picture(tmp_path):
    for name in ("a.png", "b.png"):
        plots.training_curves(SFT, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_metrics_there_is_no_picture(tmp_path):
    plots.training_curves([], tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (PRETRAIN, [["loss"]]),
        (SFT, [["answer loss", "rehearsal loss"]]),
        (PREFERENCE, [["dpo loss"], ["chosen answer", "rejected answer"]]),
    ],
)
def test_each_stage_shows_its_own_curves(tmp_path, drawn, metrics, expected):
    plots.training_curves(metrics, tmp_path / "curves.png")
    labels = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in drawn[0].axes]
    assert labels == expected


def test_a_curve_passes_through_its_values_and_its_running_mean(tmp_path, drawn):
    plots.training_curves(PRETRAIN, tmp_path / "curves.png")
    faint, clear = drawn[0].axes[0].lines
    assert list(faint.get_xdata()) == list(clear.get_xdata()) == [m["step"] for m in PRETRAIN]
    assert list(faint.get_ydata()) == [m["loss"] for m in PRETRAIN]
    assert list(clear.get_ydata()) == plots.smooth([m["loss"] for m in PRETRAIN], 2)


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([1, 2, 3, 4], 1, [1, 2, 3, 4]),
        ([1, 2, 3, 4], 2, [1, 1.5, 2.5, 3.5]),
        ([4, 0, 2, 6, 1], 3, [4, 2, 2, 8 / 3, 3]),
        ([1, 2, 3], 99, [1, 1.5, 2]),
        ([-5], 3, [-5]),
        ([], 3, []),
    ],
)
def test_smoothing_is_the_mean_of_a_value_and_those_before_it(values, width, expected):
    assert plots.smooth(values, width) == pytest.approx(expected)


@pytest.fixture
def no_installed_font(monkeypatch):
    """A machine on which no font with Chinese is installed."""
    monkeypatch.setattr(plots, "CHINESE_FONTS", ("No Such Font",))
    for cached in (plots.chinese_font, plots.drawable):
        cached.cache_clear()
    yield
    for cached in (plots.chinese_font, plots.drawable):
        cached.cache_clear()


def test_the_chinese_font_is_one_that_matplotlib_knows():
    assert plots.chinese_font() in {f.name for f in font_manager.fontManager.ttflist}


def test_the_shipped_font_has_every_character_of_the_project(no_installed_font):
    assert plots.chinese_font() == make_font.NAME
    missing = {character for character in make_font.used() | make_font.frequent() if not plots.can_draw(character)}
    assert not missing, f"make the font anew: tests/support/make_font.py ({''.join(sorted(missing))})"
    assert not plots.can_draw("玉\U00020000") and plots.can_draw("玉 − √ naïve é")


def test_chinese_is_drawn_with_the_shipped_font(no_installed_font, tmp_path):
    figure, axes = plots.new_figure(1)
    axes[0, 0].set(title="台湾最高的山是玉山", xlabel="步数 step", ylabel="− 1 naïve √")
    draw_matrix(axes[0, 0], [[1.0, 2.0]], ["玉"], ["\U00020000", " 山"], bar="概率")
    plots.save_figure(figure, tmp_path / "chinese.png")  # a missing glyph would be an error here
    assert [label.get_text() for label in axes[0, 0].get_xticklabels()] == ["0", "␣山"]
    assert [axis.get_ylabel() for axis in figure.axes[1:]] == ["概率"]


def test_a_font_that_matplotlib_has_not_noticed_yet_is_found(monkeypatch):
    before = plots.chinese_font()
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    plots.chinese_font.cache_clear()
    try:
        assert plots.chinese_font() == before
    finally:
        plots.chinese_font.cache_clear()


def test_chinese_is_drawn_without_missing_glyphs(tmp_path):
    figure, axes = plots.new_figure(1)
    axes[0, 0].set(title="台湾最高的山是玉山，法国的首都是巴黎", xlabel="步数 step", ylabel="− 1 naïve")
    plots.save_figure(figure, tmp_path / "chinese.png")
