"""Against real studies in SQLite, read back by Optuna as a user would."""

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState
from unstuck.records import optuna_internals as storage
from unstuck.records.entry import Entry, find_best
from unstuck.records.errors import SweepError
from unstuck.records.ledger import Ledger
from unstuck.records.names import PARAMETERS, REASON, VALUES
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.rungs import RungEntry
from unstuck.sweeps.config.settings import SamplerConfig, StudyConfig, SweepConfig, TrackingConfig
from unstuck.sweeps.search.kinds import OneMinusLog, Pow2
from unstuck.sweeps.search.sampler import create_ledger, reopen_ledger
from unstuck.sweeps.search.space import Space

# The first test waits for the tables to be made (2 s), which is no fault of its own.

ROOT = Path(__file__).parents[2]
LR: Mapping[str, BaseDistribution] = {"ppo.lr": FloatDistribution(1e-5, 1e-2, log=True)}
RANDOM = SamplerConfig(name="random")
STATES = {
    Outcome.COMPLETED: TrialState.COMPLETE,
    Outcome.PRUNED: TrialState.PRUNED,
    Outcome.STUCK: TrialState.PRUNED,
    Outcome.DIVERGED: TrialState.PRUNED,
    Outcome.INFEASIBLE: TrialState.PRUNED,
    Outcome.CRASHED: TrialState.FAIL,
    Outcome.INTERRUPTED: TrialState.RUNNING,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'optuna.db'}"
    create_ledger(url, StudyConfig(name="first"), RANDOM, {})
    return url


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A study's name, each test's own in the shared database."""
    return str(request.node.name).replace("[", "-").replace("]", "").removeprefix("test_")


@pytest.fixture
def ledger(url: str, name: str) -> Ledger:
    return create_ledger(url, StudyConfig(name=name), RANDOM, {})


def study(url: str, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=url)


def run(ledger: Ledger, outcome: Outcome, curve: Mapping[int, float], value: float | None = None) -> int:
    """One trial from start to end."""
    number, raw = ledger.ask(LR)
    ledger.annotate(number, {VALUES: raw})
    for iteration, point in curve.items():
        ledger.report(number, iteration, point)
    ledger.finish(number, Verdict(outcome, f"because {outcome}"), value)
    return number


def entry(number: int, outcome: Outcome | None, value: float | None) -> Entry:
    return Entry(number, outcome, "", {}, value, {}, {}, None, "COMPLETE")


def test_every_outcome_has_its_state_reason_and_whole_curve(url: str, name: str, ledger: Ledger) -> None:
    assert set(STATES) == set(Outcome)
    for outcome in STATES:
        curve = {} if outcome is Outcome.INFEASIBLE else {5: 0.25, 10: 0.5}
        run(ledger, outcome, curve, 0.375 if outcome is Outcome.COMPLETED else None)
    for trial, (outcome, state) in zip(study(url, name).trials, STATES.items(), strict=True):
        assert trial.state == state
        assert trial.user_attrs["outcome"] == outcome.value
        assert trial.user_attrs[REASON] == f"because {outcome}"
        assert trial.intermediate_values == ({} if outcome is Outcome.INFEASIBLE else {5: 0.25, 10: 0.5})


def test_only_what_completed_is_best(url: str, name: str, ledger: Ledger) -> None:
    run(ledger, Outcome.COMPLETED, {5: 0.1}, 0.1)
    for outcome in STATES:
        if outcome is not Outcome.COMPLETED:
            run(ledger, outcome, {5: 0.9})
    assert study(url, name).best_trial.number == 0
    assert study(url, name).best_value == 0.1


def test_infeasible_alone_violates_the_constraint(url: str, name: str, ledger: Ledger) -> None:
    for outcome in (Outcome.INFEASIBLE, Outcome.COMPLETED, Outcome.PRUNED, Outcome.CRASHED):
        run(ledger, outcome, {}, 0.5 if outcome is Outcome.COMPLETED else None)
    constraints = [trial.constraints for trial in study(url, name).trials]
    assert constraints == [{"feasible": 1.0}, {"feasible": 0.0}, {"feasible": 0.0}, {"feasible": 0.0}]


def test_interrupted_says_why_and_can_be_continued(url: str, name: str, ledger: Ledger) -> None:
    number = run(ledger, Outcome.INTERRUPTED, {5: 0.5})
    trial = study(url, name).trials[number]
    assert trial.state == TrialState.RUNNING
    assert trial.constraints == {}
    (read,) = Ledger.open(url, name).entries()
    assert (read.outcome, read.reason, read.value) == (Outcome.INTERRUPTED, "because interrupted", 0.5)
    study(url, name).tell(number, 0.75)  # what a resume does in the end; an ended trial would refuse
    assert study(url, name).best_value == 0.75


@pytest.mark.parametrize("last", [math.nan, math.inf, -math.inf])
def test_a_last_point_that_is_not_finite_ends_a_trial_like_any_other(
    url: str, name: str, ledger: Ledger, last: float
) -> None:
    run(ledger, Outcome.DIVERGED, {5: 0.5, 10: last})
    (trial,) = study(url, name).trials
    assert trial.state == TrialState.PRUNED
    assert list(trial.intermediate_values) == [5, 10]
    (read,) = Ledger.open(url, name).entries()
    assert repr(read.value) == repr(read.curve[10]) == repr(last)


def test_a_summary_with_nan_is_kept(url: str, name: str, ledger: Ledger) -> None:
    number, _ = ledger.ask(LR)
    ledger.finish(number, Verdict(Outcome.DIVERGED, ""), summary={"final/value": math.nan, "final/iterations": 5.0})
    (read,) = Ledger.open(url, name).entries()
    assert math.isnan(read.summary["final/value"])
    assert read.summary["final/iterations"] == 5.0


def test_a_trial_that_has_ended_is_closed(ledger: Ledger) -> None:
    number = run(ledger, Outcome.PRUNED, {5: 0.5})
    with pytest.raises(KeyError, match=str(number)):
        ledger.report(number, 10, 0.75)
    assert dict(ledger.entries()[0].curve) == {5: 0.5}


def test_two_sweeps_of_a_name_are_two_studies(url: str, name: str, ledger: Ledger) -> None:
    other = create_ledger(url, StudyConfig(name=name), RANDOM, {"id": "0123456789abcdef"})
    assert (ledger.name, other.name) == (name, f"{name} (01234567)")
    with pytest.raises(SweepError, match=rf"^sweep\.name must be new without an id, got '{name}'; "):
        create_ledger(url, StudyConfig(name=name), RANDOM, {})


def test_an_unknown_name_is_refused_with_those_there_are(url: str, name: str, ledger: Ledger) -> None:
    with pytest.raises(SweepError, match=rf"^no sweep named 'nope'; there are: .*\b{name}\b"):
        Ledger.open(url, "nope")


@pytest.mark.parametrize(
    ("bad_url", "reason"),
    [
        ("sqlite:////no/such/folder/optuna.db", "unable to open database file"),
        ("nonsense", "Could not parse SQLAlchemy URL"),
        ("nosuchdb://me:secret@host/x?password=secret", r"Can't load plugin"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line_without_password(bad_url: str, reason: str) -> None:
    rule = r"^tracking\.optuna_url must be a database of optuna's own that can be opened, got "
    with pytest.raises(SweepError, match=rf"{rule}[^\n]+: [^\n]*{reason}[^\n]*$") as caught:
        create_ledger(bad_url, StudyConfig(name="a"), RANDOM, {})
    assert "secret" not in str(caught.value)
    with pytest.raises(SweepError, match=f"{rule}|must be a database that exists"):
        Ledger.open(bad_url, "a")


def test_enqueued_points_come_first_and_in_their_order(ledger: Ledger) -> None:
    ledger.enqueue({"ppo.lr": 3e-4})
    ledger.enqueue({"ppo.lr": 5e-4})
    assert ledger.entries() == []  # what nobody has asked for is no trial yet
    assert [ledger.ask(LR) for _ in range(2)] == [(0, {"ppo.lr": 3e-4}), (1, {"ppo.lr": 5e-4})]
    number, drawn = ledger.ask(LR)
    assert number == 2
    assert drawn["ppo.lr"] not in (3e-4, 5e-4)


def test_entries_hold_all_that_was_written(url: str, name: str) -> None:
    study_config = StudyConfig(name=name, metric="eval/episode_return", mode="min")
    ledger = create_ledger(url, study_config, RANDOM, {"config": "ppo: {}"})
    number, raw = ledger.ask(LR)
    values = {"ppo.lr": raw["ppo.lr"], "ppo.hidden_sizes": (64, 64), "ppo.target_kl": None, "ppo.shared_trunk": True}
    rung = RungEntry(number, 1, 5, 4.0, 1.5, spared=False)
    ledger.annotate(number, {VALUES: values, "rungs": [asdict(rung)]})
    ledger.report(number, 10, 2.0)
    ledger.report(number, 5, 4.0)  # out of order
    ledger.finish(number, Verdict(Outcome.COMPLETED, "reached iteration 10"), 3.0, {"final/spread": 0.5})
    running, _ = ledger.ask(LR)
    opened = Ledger.open(url, name)
    ended, still = opened.entries()
    assert opened.attributes == {"config": "ppo: {}"}
    assert ended.number == number
    assert (ended.outcome, ended.reason, ended.value) == (Outcome.COMPLETED, "reached iteration 10", 3.0)
    assert ended.values == values  # every digit; a tuple, as the setting is
    assert list(ended.curve.items()) == [(5, 4.0), (10, 2.0)]
    assert ended.summary == {"final/spread": 0.5}
    assert ended.started is not None
    assert ended.rungs == (rung,)
    assert ended.raw == raw
    assert (still.number, still.outcome, still.reason, still.value, still.values) == (running, None, "", None, {})
    assert opened.entries() == ledger.entries()
    assert study(url, name).direction == optuna.study.StudyDirection.MINIMIZE
    assert study(url, name).metric_names == ["eval/episode_return"]


def test_a_fresh_process_reads_the_same(url: str, name: str, ledger: Ledger) -> None:
    run(ledger, Outcome.COMPLETED, {5: 0.1}, 0.1)
    run(ledger, Outcome.PRUNED, {5: 0.2, 10: 1 / 3})
    program = (
        "import sys; from unstuck.records.ledger import Ledger; print(Ledger.open(sys.argv[1], sys.argv[2]).entries())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, url, name], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{ledger.entries()}\n"


def test_best_by_mode_among_the_completed() -> None:
    entries = [
        entry(0, Outcome.COMPLETED, 0.2),
        entry(1, Outcome.COMPLETED, -0.5),
        entry(2, Outcome.COMPLETED, 0.4),
        entry(3, Outcome.PRUNED, 0.9),
        entry(4, Outcome.CRASHED, -0.9),
        entry(5, None, 0.95),
        entry(6, Outcome.COMPLETED, 0.4),
    ]
    assert find_best(entries, "max") is entries[2]  # of two alike the first
    assert find_best(entries, "min") is entries[1]
    assert find_best(entries[3:6], "max") is None
    assert find_best([], "max") is None


MEMORY = "sqlite:///:memory:"


def proposals(sampler: SamplerConfig, seed: int) -> list[float]:
    """What a sampler proposes when each trial's value is its own lr."""
    ledger = create_ledger(MEMORY, StudyConfig(name="a", seed=seed), sampler, {})
    drawn = []
    for _ in range(6):
        number, raw = ledger.ask(LR)
        ledger.finish(number, Verdict(Outcome.COMPLETED, ""), raw["ppo.lr"])
        drawn.append(raw["ppo.lr"])
    return drawn


@pytest.mark.parametrize("sampler", [RANDOM, SamplerConfig(num_startup_trials=3)], ids=["random", "tpe"])
def test_same_seed_and_same_answers_same_proposals(sampler: SamplerConfig) -> None:
    first = proposals(sampler, seed=1)
    assert first == proposals(sampler, seed=1)
    assert not set(first) & set(proposals(sampler, seed=2))


def feasible_proposals(refusal: Outcome) -> int:
    """Of 20 proposals after the random ones, those below lr = 1e-4, where alone this sweep can run: by chance 7."""
    ledger = create_ledger(MEMORY, StudyConfig(name="a"), SamplerConfig(num_startup_trials=10), {})
    drawn = []
    for _ in range(30):
        number, raw = ledger.ask(LR)
        drawn.append(raw["ppo.lr"] < 1e-4)
        verdict = Verdict(Outcome.COMPLETED if drawn[-1] else refusal, "")
        ledger.finish(number, verdict, 0.5 if drawn[-1] else None)
    return sum(drawn[10:])


def test_tpe_learns_from_what_could_not_run() -> None:
    assert feasible_proposals(Outcome.INFEASIBLE) >= 10
    assert feasible_proposals(Outcome.CRASHED) < 10  # the wrong variant: what failed teaches nothing


def test_a_missing_ledger_is_not_made_by_looking_for_it(tmp_path):
    with pytest.raises(SweepError, match=r"must be a database that exists, got .*gone\.db; check sweep\.folder"):
        Ledger.open(f"sqlite:///{tmp_path}/gone.db", "any")
    assert not list(tmp_path.iterdir())


def test_a_crashed_trial_is_set_running_again(url: str, ledger: Ledger, name: str) -> None:
    """Optuna has no way to, so this goes by its tables: look at `PatientStorage.reopen_trials` for another version."""
    assert optuna.__version__.startswith("5.")
    run(ledger, Outcome.COMPLETED, {2: 0.5}, 0.5)
    run(ledger, Outcome.CRASHED, {2: 0.25})
    entries = ledger.entries()
    assert ledger.reopen_crashed() == [1]
    config = SweepConfig(sweep=StudyConfig(name=name), sampler=RANDOM, tracking=TrackingConfig(optuna_url=url))
    for seen in (ledger, reopen_ledger(config)):
        whole, crashed = seen.entries()
        assert whole == entries[0]
        assert (crashed.outcome, crashed.is_open, crashed.decision) == (Outcome.INTERRUPTED, True, None)
        assert crashed.notes["crashed_before"] == entries[1].reason
        assert (crashed.values, crashed.curve, crashed.started) == (
            entries[1].values,
            entries[1].curve,
            entries[1].started,
        )
    ledger.reopen_trial(1, LR)
    ledger.report(1, 4, 0.75)
    ledger.finish(1, Verdict(Outcome.COMPLETED, "reached iteration 4"), 0.75)
    ended = study(url, name).trials[1]
    assert (ended.state, ended.value, ended.intermediate_values) == (TrialState.COMPLETE, 0.75, {2: 0.25, 4: 0.75})
    assert ledger.reopen_crashed() == []


def test_all_crashed_trials_are_set_running_or_none(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        run(ledger, Outcome.CRASHED, {})
    before, written = ledger.entries(), []

    def dies_at_the_second_trial(value: object) -> str:
        written.append(value)
        if len(written) == 4:  # outcome, reason, crashed_before
            raise KeyboardInterrupt
        return f'"{value}"'

    with monkeypatch.context() as patch:
        patch.setattr(storage.json, "dumps", dies_at_the_second_trial)
        with pytest.raises(KeyboardInterrupt):
            ledger.reopen_crashed()
    assert ledger.reopen_crashed() == [0, 1]
    assert [entry.notes["crashed_before"] for entry in ledger.entries()] == [entry.reason for entry in before]


def test_parameters_that_are_stored_as_other_numbers_say_so_and_are_drawn_alike(url: str) -> None:
    """Samplers draw in the order of names; a sweep of before names its parameters by the paths alone."""
    space = Space(
        {"ppo.num_steps": Pow2(16, 256), "ppo.gamma": OneMinusLog(0.9, 0.999), "ppo.gae_lambda": OneMinusLog(0.8, 0.99)}
    )
    point = space.encode({"ppo.num_steps": 64, "ppo.gamma": 0.95, "ppo.gae_lambda": 0.9})
    drawn = {}
    for name, names in (("plain", {}), ("named", space.name_parameters())):
        study = StudyConfig(name=name)
        ledger = create_ledger(url, study, SamplerConfig(name="tpe", num_startup_trials=2), {PARAMETERS: names})
        ledger.enqueue(point)
        for number in range(5):
            _, raw = ledger.ask(space.distributions())
            ledger.annotate(number, {VALUES: space.decode(raw)})
            if number < 4:
                ledger.finish(number, Verdict(Outcome.COMPLETED, ""), space.decode(raw)["ppo.gamma"])
        again = Ledger.open(url, name)
        again._make_sampler = ledger._make_sampler
        assert again.reopen_trial(4, space.distributions()) == raw
        drawn[name] = again.raw_parameters()
        assert {entry.number: entry.raw for entry in again.entries()} == drawn[name]
        assert again.distributions() == space.distributions()
    assert drawn["plain"] == drawn["named"]
    assert drawn["named"][0] == point
    held = optuna.load_study(study_name="named", storage=url).trials[0].params
    assert held["ppo.gamma (1 - gamma)"] == pytest.approx(0.05)
    assert held["ppo.num_steps (log2)"] == 6
