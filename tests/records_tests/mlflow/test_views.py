import base64
import json
import zlib
from dataclasses import replace

import pytest
from unstuck.records.mlflow.names import from_mlflow, is_curve, make_tags, read_tags, to_mlflow
from unstuck.records.mlflow.views import VIEW_LENGTH, ShownSweep, make_comparison, make_table
from unstuck.records.tracker import SweepHeader
from unstuck.rl import metrics

HEADER = SweepHeader("mine", "abc", 3, metrics.F1, "max", ("ppo.lr", "ppo.gamma"))


def read(view: str) -> dict[str, object]:
    if view.startswith("deflate;"):
        view = zlib.decompress(base64.b64decode(view.removeprefix("deflate;"))).decode()
    return dict(json.loads(view))


@pytest.mark.parametrize(("mode", "ascending"), [("max", False), ("min", True)])
def test_the_best_stand_first_in_either_mode(mode: str, ascending: bool) -> None:
    view = read(make_table(ShownSweep(replace(HEADER, mode=mode), "own")))
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`objective/value`", ascending)
    assert view["runsHiddenMode"] == "SHOW_ALL"


def test_a_sweep_begun_before_is_ordered_by_the_name_of_its_time() -> None:
    view = read(make_table(ShownSweep(replace(HEADER, format=2), "own")))
    assert view["orderByKey"] == "metrics.`final/value`"


def test_many_settings_do_not_push_the_diagnosis_off_the_page() -> None:
    """The arms of an unstick change many; on a page 1,900 wide 1,300 are left for the table's own columns."""
    for count in (0, 1, 3, 4, 5, 12):
        widths = ShownSweep(replace(HEADER, searched=tuple(f"ppo.s{place}" for place in range(count))), "own").columns
        before = list(widths)[: list(widths).index("tags.`diagnosis`")]
        assert sum(widths[column] for column in before) <= 1200
        settings = [column for column in widths if column.startswith("params.")]
        assert len(settings) == count
        assert list(widths)[-1] == ("tags.`diagnosis`" if count <= 4 else settings[-1])


def test_the_comparison_has_one_chart_and_fits_into_a_tag_whatever_was_logged() -> None:
    searched = tuple(f"ppo.setting_{number}" for number in range(20))
    names = [f"rules/train.value_loss.seed_{seed}" for seed in range(300)]
    runs = [f"{number:032x}" for number in range(6)]
    text = make_comparison(ShownSweep(replace(HEADER, searched=searched), "own", runs, names))
    assert len(text) <= VIEW_LENGTH
    charts = read(text)["compareRunCharts"]
    assert isinstance(charts, list)
    (shown,) = [chart for chart in charts if not chart.get("deleted")]
    assert (shown["type"], shown["selectedParams"]) == ("PARALLEL", list(searched))
    assert shown["selectedMetrics"] == ["objective/value"]
    assert len(charts) == 301


def test_each_metric_is_found_under_its_own_name_again() -> None:
    names = [value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)]
    names += [metrics.action_metric("allow"), metrics.greedy_metric("3"), metrics.seed_metric(metrics.F1, 11)]
    curves = [name for name in names if is_curve(name) and not name.endswith("/")]
    assert len(curves) > 40
    assert [from_mlflow(to_mlflow(name)) for name in curves] == curves
    assert len({to_mlflow(name) for name in curves}) == len(curves)


def test_the_length_of_a_trial_comes_back_from_its_tags() -> None:
    summary = {metrics.FINAL_ITERATIONS: 2_000_000.0, metrics.FINAL_SECONDS: 12.3456789, metrics.FINAL_VALUE: 0.5}
    tags = make_tags(summary)
    assert tags == {"iterations": "2000000", "seconds": "12.3457"}
    assert read_tags(tags) == {metrics.FINAL_ITERATIONS: 2_000_000.0, metrics.FINAL_SECONDS: 12.3457}
