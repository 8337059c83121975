"""Reports of a sweep and of a run, from records that a sweep's own driver wrote."""

import json
import math
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from unstuck.analysis.__main__ import main
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.document.markdown import to_markdown
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import Stores, load
from unstuck.analysis.report import write_sweep
from unstuck.analysis.report.searched import describe_main_setting
from unstuck.analysis.report.sweep import Findings, sweep_document
from unstuck.analysis.report.sweep_verdict import sweep_verdict
from unstuck.analysis.report.write import report_run
from unstuck.analysis.report.write_sweep import report_sweep
from unstuck.analysis.sweep.importance import (
    LEAST,
    Importance,
    compute_dashboard_importances,
    compute_importances,
    read_ranges,
    read_sweep,
)
from unstuck.analysis.sweep.judgements import Judgement, add_judgement
from unstuck.analysis.sweep.trials import Trial
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome
from unstuck.records.tracker import SweepHeader
from unstuck.rl import metrics
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import SchedulerConfig, StudyConfig, SweepConfig
from unstuck.sweeps.mirror import make_tracker
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.search.parse import parse_space
from unstuck.sweeps.search.sampler import create_ledger

TRIALS, LENGTH = 16, 30


class _Silent:
    def show_start(self, *_: Any) -> None:
        pass

    show_evaluation = show_end = warn = show_notes = recall = expect = show_start


def measured(iteration: int, lr: float) -> dict[str, float]:
    """One iteration of a made-up learner: F1 that grows faster the closer lr is to 1e-3."""
    speed = math.exp(-(math.log10(lr / 1e-3) ** 2))
    f1 = 0.2 + 0.7 * speed * (1 - math.exp(-iteration / 10))
    values = {metrics.VALUE_LOSS: 1.0, metrics.ENTROPY: 1.3 - f1, metrics.APPROX_KL: 0.002, metrics.LR: lr}
    if iteration % 5 == 0:
        values |= {metrics.F1: f1, metrics.EVAL_RETURN: 1000 * f1}
        values |= {metrics.seed_metric(metrics.F1, seed): f1 + 0.01 * (seed - 1) for seed in range(3)}
        values |= {metrics.F1_FLAG_ALL: 0.197, metrics.F1_FLAG_NONE: 0.0, metrics.F1_RANDOM: 0.19}
    return values


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """A sweep over lr and gamma, of which lr alone matters: judged, pruned and recorded as any; its numbers made up."""
    folder = tmp_path_factory.mktemp("runs")
    config = SweepConfig(
        sweep=StudyConfig(name="made", folder=str(folder), seeds=3, num_trials=TRIALS),
        space={"ppo": {"lr": {"log": [1e-5, 1e-1]}, "gamma": {"float": [0.0, 0.99]}}},
        scheduler=SchedulerConfig(grace_iterations=10, spared_share=0.2),
    )
    config = SweepConfig(**{**vars(config), "id": "made", "ppo": type(config.ppo)(num_iterations=LENGTH, eval_every=5)})
    (folder / "made").mkdir()
    (folder / "made" / "config.yaml").write_text(to_yaml(config))
    space = parse_space(config.space, config)
    ledger = create_ledger(
        config.reference.ledger_url, config.sweep, config.sampler, {"id": "made", "config": to_yaml(config)}
    )
    ledger.enqueue(space.encode(space.control_values(config)))
    tracker = make_tracker(config.tracking, folder)
    tracker.start_sweep(SweepHeader("made", "made", 3, "eval/f1", "max"), to_yaml(config), {})
    driver = Driver(config, TRIALS, space, ledger, tracker, _Silent())  # type: ignore[arg-type]
    for _ in range(TRIALS):
        assignment = driver.propose()
        assert assignment is not None
        for start in range(1, LENGTH, 5):
            records = [
                Record(i, 1_700_000_000_000 + i, measured(i, assignment.config.ppo.lr)) for i in range(start, start + 5)
            ]
            if driver.judge(assignment.number, records):
                break
    tracker.end_sweep(Outcome.COMPLETED, {})
    return Stores(folder)


@pytest.fixture(scope="module", autouse=True)
def fewer_draws() -> Iterator[None]:
    """Importances from 3 draws instead of 20: each grows a forest, and what reports say of them is the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_sweep, "compute_importances", partial(compute_importances, draws=3))
        yield


@pytest.fixture(scope="module")
def written(store: Stores) -> list[Path]:
    return report_sweep("made", store)


def test_the_sweep_is_read_back_as_it_ran(store: Stores) -> None:
    sweep = read_sweep("made", store.folder)
    assert len(sweep.trials) == TRIALS
    assert sweep.searched == ("ppo.lr", "ppo.gamma")
    assert sweep.control is not None
    assert sweep.control.number == 0
    assert {trial.outcome for trial in sweep.trials} == {"completed", "pruned"}
    assert sweep.best is not None
    assert len(sweep.best.seeds) == 3
    assert sweep.best.estimate is not None
    assert sweep.best.estimate.spread == pytest.approx(0.01)


def test_importances_find_the_setting_that_matters(store: Stores) -> None:
    sweep = read_sweep("made", store.folder)
    trials = [trial for trial in sweep.trials if trial.objective_from(10) is not None]
    found = compute_importances(
        trials, [trial.objective_from(10) or 0.0 for trial in trials], read_ranges("made", store.folder), draws=6
    )
    assert found[0].path == "ppo.lr"
    assert found[0].fanova > found[1].fanova
    for one in found:  # a share once lay outside its own range: trials drawn twice look alike
        assert 0 <= one.ped_range[0] <= one.ped_anova <= one.ped_range[1] <= 1
        assert 0 <= one.fanova_range[0] <= one.fanova <= one.fanova_range[1] <= 1
    assert found[0].ped_range[0] < found[0].ped_range[1]


def share(path: str, ped: float, low: float, high: float, fanova: float = 0.5) -> Importance:
    return Importance(path, ped, (low, high), fanova, (0.0, 1.0))


def test_the_verdict_says_of_what_matters_what_the_chart_says(store: Stores) -> None:
    """It used to give lr 0.98 in the chart, and no word of lr in the verdict."""
    clear = [share("ppo.lr", 0.9, 0.7, 0.95), share("ppo.gamma", 0.1, 0.05, 0.3)]
    drawn = "over draws of two thirds of the trials)"
    first = "what sets good trials apart is lr, with 90 % of the importance"
    assert describe_main_setting(clear) == f"{first} (70 to 95 % {drawn}"
    unclear = [share("ppo.lr", 0.98, 0.2, 1.0, 0.3), share("ppo.entropy_coef", 0.02, 0.0, 0.7, 0.6)]
    told = (
        f"no single setting clearly stands out: lr comes first with 98 % of the importance (20 to 100 % {drawn}, and "
        "by fANOVA entropy_coef does"
    )
    assert describe_main_setting(unclear) == told
    sweep = read_sweep("made", store.folder)
    text = to_markdown(sweep_document(Findings(sweep, {}, unclear, "eval/f1", 12)))
    assert text.split("\n\n")[1].endswith(f"{told}.**")
    assert f"## What matters\n\nN{told[1:]}." in text


def test_what_optunas_dashboard_says_matters_is_said_and_why_it_differs(store: Stores, written: list[Path]) -> None:
    study = optuna.load_study(study_name="made", storage=f"sqlite:///{store.folder}/optuna.db")
    evaluator = PedAnovaImportanceEvaluator()
    shown = get_param_importances(study, target=lambda trial: -trial.value, evaluator=evaluator)  # as it asks for it
    completed = read_sweep("made", store.folder).rank_trials("completed")
    found = compute_dashboard_importances(completed, read_ranges("made", store.folder))
    assert found == pytest.approx(shown)
    assert list(found) == list(shown)
    told = ", ".join(f"{path.removeprefix('ppo.')} {value:.2f}" for path, value in shown.items())
    good = math.ceil(0.1 * len(completed))
    text = written[0].read_text()
    assert f"Optuna's dashboard shows other importances: {told}. " in text
    assert f"but of the best {good} of {len(completed)} completed trials, and says nothing of how sure it is" in text
    assert compute_dashboard_importances(completed[:1], read_ranges("made", store.folder)) == {}


def test_too_little_to_tell_importances_is_no_importance(store: Stores) -> None:
    sweep = read_sweep("made", store.folder)
    ranges = read_ranges("made", store.folder)
    assert compute_importances(sweep.trials[: LEAST - 1], list(map(float, range(LEAST - 1))), ranges) == []
    assert compute_importances(sweep.trials, [1.0] * TRIALS, ranges) == []


def test_the_only_setting_that_differs_has_all_of_the_importance(store: Stores) -> None:
    trials, ranges = read_sweep("made", store.folder).trials, read_ranges("made", store.folder)
    whole = (1.0, 1.0)
    values = list(map(float, range(TRIALS)))
    found = compute_importances(trials, values, {"ppo.lr": ranges["ppo.lr"]})
    assert found == [Importance("ppo.lr", 1.0, whole, 1.0, whole)]


def test_the_report_says_it_all_verdict_first(written: list[Path]) -> None:
    markdown, page, figures = written
    text = markdown.read_text()
    lead = text.split("\n\n")[1]
    assert lead.startswith("**Trial ")
    assert "is the best of 16 trials: eval/f1 0.8" in lead
    for heading in (
        *("What was searched", "How every trial ended", "The best configurations", "What matters"),
        *(
            "What pruning saved, and what it risked",
            "What is wrong",
            "Expected against actual",
            "What to run next",
            "All trials",
        ),
    ):
        assert f"\n## {heading}\n" in text
    assert "Warning: 16 trials for 2 settings are too few" in text
    assert "python -m unstuck.sweeps champion" in text
    assert sorted(file.name for file in figures.iterdir()) == [
        *("made-curves.svg", "made-importance.svg", "made-pair.svg", "made-parallel.svg"),
    ]
    assert text.count("figures/") == 4
    assert page.read_text().count("<svg") == 4


def test_the_page_needs_nothing_but_itself(written: list[Path]) -> None:
    page = written[1].read_text()
    assert "<script" not in page
    assert not [word for word in page.split('"') if word.startswith("http") and "w3.org" not in word]
    assert len(page) < 500_000


def test_every_trial_is_traced_to_its_run(store: Stores, written: list[Path]) -> None:
    text = written[0].read_text()
    for trial in read_sweep("made", store.folder).trials:
        assert f"`{trial.run_id[:8]}`" in text


BETTER = (0.88, 0.89, 0.9, 0.91, 0.92)
WORSE = (0.83, 0.84, 0.85, 0.86, 0.87)
"""Errors of 0.1 / sqrt(10) / sqrt(5) each, so a difference of 0.05 ± 2.306 * 0.01."""


def kept(store: Stores, tmp_path: Path, *judgements: Judgement) -> Stores:
    """The sweep with judgements on record."""
    folder = tmp_path / "runs"
    shutil.copytree(store.folder, folder, ignore=shutil.ignore_patterns("mlflow*"))
    for judgement in judgements:
        add_judgement(folder / "made" / "report", judgement)
    return Stores(folder)


def of(trial: Trial, champion: tuple[float, ...] = BETTER, control: tuple[float, ...] = WORSE) -> Judgement:
    return Judgement(
        trial=trial.number,
        searched=trial.value or 0.0,
        champion=champion,
        control=control,
        values=trial.values,
        at="2026-01-02T03:04:05+00:00",
    )


def lead(stores: Stores) -> str:
    """The first sentence of the sweep's report, without what its importances say."""
    return sweep_verdict(read_sweep("made", stores.folder), [])


def page(stores: Stores) -> str:
    """The sweep's report, without diagnoses and importances, which take long."""
    return to_markdown(sweep_document(Findings(read_sweep("made", stores.folder), {})))


def test_a_judgement_on_the_best_trial_leads_the_report(store: Stores, tmp_path: Path) -> None:
    best = read_sweep("made", store.folder).rank_trials("completed")[0]
    stores = kept(store, tmp_path, of(best))
    assert lead(stores).startswith(
        f"Trial {best.number} beats the control: eval/f1 0.9 on 5 fresh seeds and unseen data, "
        "+0.05 (95 % interval 0.0269 to 0.0731) against the control"
    )
    assert "python -m unstuck.sweeps champion" not in page(stores)


def test_a_judgement_on_another_trial_hides_no_newer_best(store: Stores, tmp_path: Path) -> None:
    best, second = read_sweep("made", store.folder).rank_trials("completed")[:2]
    stores = kept(store, tmp_path, of(second))
    said = lead(stores)
    assert said.startswith(f"Trial {best.number} is the best of 16 trials")
    assert "fresh seeds have not judged it yet" in said
    assert f"; trial {best.number} has not been judged, others have: Trial {second.number} beats the control" in said
    assert "python -m unstuck.sweeps champion" in page(stores)


def test_a_judgement_on_another_trial_replaces_none(store: Stores, tmp_path: Path) -> None:
    best, second = read_sweep("made", store.folder).rank_trials("completed")[:2]
    stores = kept(store, tmp_path, of(best), of(second, champion=WORSE))
    said = lead(stores)
    assert said.startswith(f"Trial {best.number} beats the control: eval/f1 0.9 on 5 fresh seeds")
    assert "for 2 comparisons at once" in said  # whoever judges two has two tries
    assert "; the test part has been read 2 times" in said
    text = page(stores)
    assert f"| trial {second.number} | 2026-01-02 03:04 | 5 |" in text
    assert f"read 2 times, for trials {best.number} and {second.number}: what is chosen by these figures is" in text


def test_a_judgement_on_another_configuration_of_the_best_trial_is_not_its_own(store: Stores, tmp_path: Path) -> None:
    best = read_sweep("made", store.folder).rank_trials("completed")[0]
    stores = kept(store, tmp_path, replace(of(best), values={**best.values, "ppo.gamma": 0.123}))
    assert lead(stores).startswith(f"Trial {best.number} is the best of 16 trials")


def test_a_trial_that_was_judged_twice_has_the_judgement_on_more_seeds(store: Stores, tmp_path: Path) -> None:
    best = read_sweep("made", store.folder).rank_trials("completed")[0]
    stores = kept(store, tmp_path, of(best), of(best, champion=(0.1,), control=(0.9,)))
    said = lead(stores)
    assert said.startswith(f"Trial {best.number} beats the control: eval/f1 0.9 on 5 fresh seeds")
    assert "comparisons at once" not in said
    assert "it was the same trial each time, so to look until an interval suits is no test" in (page(stores))


def test_one_fresh_seed_is_no_verdict(store: Stores, tmp_path: Path) -> None:
    best = read_sweep("made", store.folder).rank_trials("completed")[0]
    said = lead(kept(store, tmp_path, of(best, champion=(0.99,), control=(0.1,))))
    assert f"Trial {best.number} cannot be judged against the control by one seed: " in said
    assert "+0.89 (one seed: no interval) against the control; take at least 3 seeds of each, better 8" in said


def test_an_old_judgement_is_read_and_judged_by_its_seeds(store: Stores, tmp_path: Path) -> None:
    best = read_sweep("made", store.folder).rank_trials("completed")[0]
    stores = kept(store, tmp_path)
    one = {"mean": 0.9, "low": 0.89, "high": 0.91, "spread": 0.02, "values": BETTER}
    other = {**one, "mean": 0.85, "values": WORSE}
    too_sure = {"mean": 0.05, "low": 0.04, "high": 0.06, "spread": 0.01, "values": []}
    judged = {"trial": best.number, "searched": best.value, "champion": one, "control": other, "difference": too_sure}
    report = stores.folder / "made" / "report"
    report.mkdir(exist_ok=True)
    (report / "champion.json").write_text(json.dumps(judged))
    assert "beats the control: eval/f1 0.9 on 5 fresh seeds and unseen data, +0.05 (95 % interval 0.0269 to" in (
        lead(stores)
    )
    (report / "champion.json").write_text(json.dumps({**judged, "searched": 0.123}))  # of another configuration
    assert lead(stores).startswith(f"Trial {best.number} is the best of 16 trials")
    (report / "champion.json").write_text("[]")
    with pytest.raises(AnalysisError, match=r"champion\.json must hold judgements of champions, got TypeError"):
        page(stores)


def test_a_control_that_was_stopped_is_not_compared(store: Stores) -> None:
    sweep = read_sweep("made", store.folder)
    stopped = replace(sweep.trials[0], outcome="stuck", reason="value loss at its start")
    verdict = sweep_verdict(replace(sweep, trials=(stopped, *sweep.trials[1:])), [])
    assert "; no verdict against the control, which did not run to its end (stuck: value loss at its start)" in verdict


def test_without_a_control_there_is_no_verdict_against_one(store: Stores) -> None:
    sweep = read_sweep("made", store.folder)
    other = replace(sweep.trials[0], values={**sweep.trials[0].values, "ppo.gamma": 0.123}, is_control=False)
    verdict = sweep_verdict(replace(sweep, trials=(other, *sweep.trials[1:])), [])
    assert verdict.endswith(
        "as the search saw it; no control was run to compare it with; too few trials, or too few different settings, "
        "to say which setting matters."
    )


def test_a_sweep_that_was_not_tracked_has_a_report_without_diagnoses(store: Stores, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(store.folder / "optuna.db", folder)
    text = report_sweep("made", Stores(folder))[0].read_text()
    assert "MLflow holds no curves of this sweep" in text


def test_a_trials_report_has_its_figures(store: Stores) -> None:
    markdown, page, figures = report_run(diagnose(load("made/0", store)), store)
    assert markdown == store.folder / "made" / "trials" / "0000" / "report.md"
    text = markdown.read_text()
    assert "## All curves" in text
    assert {"made-0-score.svg", "made-0-value-loss.svg", "made-0-entropy.svg"} <= {
        file.name for file in figures.iterdir()
    }
    assert "<svg" in page.read_text()


def test_the_commands_write_and_compare(store: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--folder", str(store.folder)]
    assert main(["report", "made", "--out", str(tmp_path), *where]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {tmp_path / 'report.md'}\n")
    assert main(["compare", "made/0", "made/1", *where]) == 0
    text = capsys.readouterr().out
    assert "Value losses are not compared" in text
    assert "Where their settings differ" in text
    assert main(["compare", "made/0", *where]) == 2
    assert "compare takes two runs or more, got 1" in capsys.readouterr().err
    assert main(["report", "nothing", *where]) == 2


def test_comparing_says_how_sure(store: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = read_sweep("made", store.folder)
    best, worst = sweep.rank_trials()[0], sweep.rank_trials()[-1]
    names = [f"made/{worst.number}", f"made/{best.number}"]
    assert main(["compare", *names, "--json", "--folder", str(store.folder)]) == 0
    said = json.loads(capsys.readouterr().out)
    mean, low, high = said["runs"][1]["difference"]
    assert 0 < low < mean < high
    assert "clear of 0" in said["verdict"]
    assert set(said["runs"][0]["settings"]) >= {"ppo.lr"}


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_browser_shows_the_page(written: list[Path], tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("needs Chromium")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
    ]
    page = subprocess.run(
        [browser, *options, written[1].as_uri()], capture_output=True, text=True, timeout=100, check=True
    )
    assert "Report of the sweep made" in page.stdout
    assert page.stdout.count("<figure>") == 4
