"""What `import unstuck` offers: it loads late, returns typed values, and refuses in one line."""

import doctest
import os
import subprocess
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
import pytest
from unstuck.analysis.history import History
from unstuck.rl import metrics

import unstuck
from tests.analysis_tests.runs import healthy
from unstuck import api

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user stands: a healthy run, and one whose F1 is 0.3 lower."""
    monkeypatch.chdir(tmp_path)
    run = healthy(seeds=3)
    worse = healthy(seeds=3)
    for name in worse.table.columns[worse.table.columns.str.startswith(metrics.F1)]:
        worse.table[name] -= 0.3
    for stem, one in (("progress", run), ("worse", worse)):
        one.table.to_csv(tmp_path / f"{stem}.csv", index_label="iteration")
    return tmp_path


def test_a_run_is_loaded_with_what_is_added(folder: Path) -> None:
    run = unstuck.load_run(Path("progress.csv"), settings={"ppo.gamma": 0.9})
    assert isinstance(run, unstuck.History)
    assert (run.last_iteration, run.settings) == (100, {"ppo.gamma": 0.9})
    assert unstuck.load_run(run) is run
    assert unstuck.load_run(run, settings={"ppo.lr": 1e-3}).settings == {"ppo.gamma": 0.9, "ppo.lr": 1e-3}


def test_a_diagnosis_holds_typed_findings_and_prints_them(folder: Path) -> None:
    healthy(approx_kl=None).table.to_csv("blind.csv", index_label="iteration")
    found = unstuck.diagnose("blind.csv")
    assert isinstance(found, unstuck.Diagnosis)
    lines = str(found).splitlines()
    assert lines[0] == "blind.csv:"
    assert len(lines) == 1 + len(found.findings) + 1
    for line, one in zip(lines[1:], found.findings, strict=False):
        in_seeds = one.finding.name_seeds(", ", "")
        assert line == f"{one.finding.kind} ({one.finding.sureness.name.lower()}{in_seeds}): {one.finding.headline}"
    assert lines[-1].startswith("not judged, since metrics are missing: ")


def test_a_notebook_shows_findings_with_their_evidence_and_what_to_try(folder: Path) -> None:
    healthy(entropy=np.full(100, 0.001)).table.to_csv("a<b.csv", index_label="iteration")
    found = unstuck.diagnose("a<b.csv")
    first = next(one for one in found.findings if one.finding.causes and one.finding.remedies)
    shown = found._repr_html_()
    assert shown.startswith("<h3>a&lt;b.csv</h3><table>")
    assert shown.count("<tr ") == len(found.findings)
    assert f"<td>{first.finding.kind}: {first.rule.title}</td>" in shown
    assert f"<li>{escape(first.finding.evidence[0].text)}</li>" in shown
    assert f"Cause, {first.finding.causes[0].support}: {escape(first.finding.causes[0].what)}" in shown
    assert f"Try {next(iter(first.finding.remedies[0].change))}=" in shown


def test_a_comparison_holds_the_difference_and_its_interval(folder: Path) -> None:
    compared = unstuck.compare("progress.csv", "worse.csv")
    assert isinstance(compared, unstuck.Comparison)
    assert compared.score == metrics.F1
    control, worse = compared.runs
    assert compared.control is control is compared.best
    assert (control.difference, control.against_control) == (None, "the control")
    assert worse.difference is not None
    assert worse.difference.mean == pytest.approx(-0.3)
    assert (worse.difference.side, worse.against_control) == (-1, "worse than the control")
    assert len(worse.estimate.values) == 3
    assert worse.findings == unstuck.diagnose("worse.csv").findings
    said = str(compared).splitlines()
    assert said[0] == compared.verdict
    assert [line.partition(":")[0] for line in said[1:]] == ["progress.csv", "worse.csv"]


def test_a_comparison_names_settings_that_differ(folder: Path) -> None:
    slow, fast = (unstuck.load_run("progress.csv", settings={"ppo.lr": lr}) for lr in (1e-4, 1e-3))
    compared = unstuck.compare(slow, fast)
    assert compared.differing == ("ppo.lr",)
    assert [one.settings for one in compared.runs] == [{"ppo.lr": 1e-4}, {"ppo.lr": 1e-3}]
    assert compared.runs[1].against_control == "cannot be told from the control"
    assert compared.best is compared.control


def test_without_seeds_there_is_no_interval_and_the_reason_is_said(folder: Path) -> None:
    run = healthy(seeds=0)
    other = healthy(seeds=0, f1=np.linspace(0, 1, len(run.table)))
    difference = unstuck.compare(run, other).runs[1].difference
    assert difference is not None
    assert str(difference.interval) == "one seed"


def test_examples_hold(folder: Path) -> None:
    assert doctest.testmod(api).failed == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: unstuck.diagnose("none.csv"), "a run must be a file or folder, .*, got 'none.csv'"),
        (lambda: unstuck.diagnose(None), "a run must be a path, .*, got a NoneType; write 'NAME/7'"),  # type: ignore[arg-type]
        (lambda: unstuck.load_run(123), "a run must be a path, .*, got a int; "),  # type: ignore[arg-type]
        (lambda: unstuck.compare("progress.csv", None), "a run must be a path, .*, got a NoneType"),  # type: ignore[arg-type]
        (lambda: unstuck.compare("progress.csv"), "compare takes two runs or more, got 1; `diagnose` looks at one"),
        (
            lambda: unstuck.load_run("progress.csv", settings={"ppo.gama": 0.9}),
            "settings: no setting that a diagnosis reads is called 'ppo.gama'; did you mean ppo.gamma",
        ),
    ],
)
def test_a_mistake_is_one_line(folder: Path, call: Callable[[], object], message: str) -> None:
    with pytest.raises(unstuck.AnalysisError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_names_are_listed_and_no_other_is_known() -> None:
    assert set(unstuck.__all__) <= set(dir(unstuck))
    assert all(getattr(unstuck, name) is not None for name in unstuck.__all__)
    assert unstuck.History is History
    with pytest.raises(AttributeError, match="module 'unstuck' has no attribute 'diagnos'"):
        _ = unstuck.diagnos


def _python(code: str, folder: Path) -> str:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_heavy_is_loaded_before_its_use_nor_torch_nor_ray_by_it(folder: Path) -> None:
    seen = "print({'pandas', 'numpy', 'torch', 'ray', 'mlflow', 'optuna'} & {*sys.modules})"
    out = _python(f"import sys, unstuck; {seen}; print(unstuck.diagnose('progress.csv')); {seen}", folder)
    first, headline, *_, last = out.splitlines()
    assert (first, headline) == ("set()", "progress.csv:")
    assert "pandas" in last
    assert not {"torch", "ray", "mlflow", "optuna"} & {word.strip("{}', ") for word in last.split()}
