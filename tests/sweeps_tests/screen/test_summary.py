import io
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unstuck.records.entry import Entry
from unstuck.records.outcome import Outcome
from unstuck.records.unstick import MilestoneRecord
from unstuck.rl.budget import Budget
from unstuck.sweeps.config.compose import to_config
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.screen.summary import (
    make_champion_command,
    make_leaderboard,
    make_rerun_command,
    make_resume_command,
    make_ui_commands,
    print_prose,
    show_summary,
)
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.space import Space

from tests.composing import composed


def config_of(*overrides: str) -> SweepConfig:
    return to_config(composed(*overrides))


def entry(
    number: int,
    outcome: Outcome | None = Outcome.COMPLETED,
    value: float | None = 0.5,
    values: dict[str, Any] | None = None,
    reason: str = "",
) -> Entry:
    summary = {} if value is None else {"final/spread": 0.25}
    return Entry(number, outcome, reason, values or {}, value, {}, summary, None, "COMPLETE")


def printed(
    config: SweepConfig,
    entries: list[Entry],
    command: tuple[str, ...] = (),
    width: int = 200,
    report: str = "",
    experiment: str = "",
) -> str:
    console = Console(file=io.StringIO(), width=width)
    show_summary(config, command, entries, report, experiment, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(config: SweepConfig, entries: list[Entry]) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=200)
    console.print(make_leaderboard(config, entries, console.width))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


ENTRIES = [
    entry(0, value=0.5),
    entry(1, Outcome.PRUNED, 0.9, reason="asha rung 1: 0.9 < 0.95"),
    entry(2, value=0.75),
    entry(3, Outcome.INFEASIBLE, None, reason="minibatch_size must divide 1024, got 48"),
    entry(4, value=0.25),
    entry(5, Outcome.STUCK, 0.0, reason="value loss"),
    entry(6, value=0.75),
]


@pytest.mark.parametrize(("mode", "order"), [("max", [2, 6, 0, 4, 1, 5, 3]), ("min", [4, 0, 2, 6, 5, 1, 3])])
def test_the_best_stand_first_and_those_that_were_stopped_below_the_completed(mode: str, order: list[int]) -> None:
    config = config_of("sweep.name=x", f"sweep.mode={mode}")
    assert [int(row[0]) for row in rows(config, ENTRIES)] == order


def test_a_row_says_value_spread_settings_and_end() -> None:
    values = {"ppo.lr": 0.00031415926, "ppo.hidden_sizes": (64, 64)}
    board = rows(
        config_of("sweep.name=x"),
        [
            entry(0, value=0.5, values=values),
            entry(1, Outcome.PRUNED, 0.0, {"ppo.lr": 1.0}, "asha rung 1"),
            entry(2, Outcome.INFEASIBLE, None, {"ppo.lr": 2.0}, "refused"),
            entry(3, None, 0.25, {"ppo.lr": 3.0}),
        ],
    )
    assert board == [
        ["0", "0.5000", "0.2500", "0.0003142", "(64, 64)", "completed"],
        ["3", "0.2500", "0.2500", "3", "", "not ended; a resume goes on"],
        ["1", "0.0000", "0.2500", "1", "", "pruned: asha rung 1"],
        ["2", "", "", "2", "", "infeasible: refused"],
    ]


def test_a_row_of_an_arm_counts_the_milestones_that_it_passed() -> None:
    decided = [
        MilestoneRecord(
            number=number,
            metric="eval/f1",
            bound="above",
            limit=0.3,
            first=1,
            last=4,
            iteration=4,
            value=0.5,
            passed=passed,
        )
        for number, passed in enumerate((True, False, True), start=1)
    ]
    arm = replace(entry(1, value=0.5, values={"branch.reset": ("value_head", "adam")}), milestones=tuple(decided))
    assert rows(config_of("sweep.name=x"), [arm, entry(0, value=0.25, values={"branch.reset": ()})]) == [
        ["1", "0.5000", "0.2500", "2 of 3", "value_head, adam", "completed"],
        ["0", "0.2500", "0.2500", "", "", "completed"],
    ]


@pytest.mark.parametrize("width", [140, 80, 60])
def test_no_number_is_cut_however_narrow_the_terminal_and_however_many_the_settings(width: int) -> None:
    """As in an unstick, whose arms change a setting or two each."""
    names = ("lr", "gamma", "gae_lambda", "update_epochs", "minibatch_size", "entropy_coef", "value_coef", "num_steps")
    entries = [
        entry(k, value=0.1234 + k, values={f"ppo.{name}": 0.0001234 * (k + 1)}, outcome=outcome, reason=f"why {k}")
        for k, (name, outcome) in enumerate(zip(names, [Outcome.COMPLETED] * 7 + [Outcome.PRUNED], strict=True))
    ]
    lines = printed(config_of("sweep.name=x"), entries, width=width).splitlines()
    table = [line for line in lines if line.startswith("│")]
    assert max(map(len, table)) <= width
    assert not any("…" in line for line in lines)
    for one in entries:
        (row,) = [line for line in table if line.startswith(f"│ {one.number:>5} │")]
        assert f"│ {one.value:.4f} │  0.2500 │" in row
        assert f"lr={0.0001234:.3g}" in row or one.number
    assert "trial 7 pruned: why 7" in lines


def test_sentences_are_wrapped_between_words_and_a_path_stays_whole() -> None:
    said = "Trial 2 is the best of all the trials that were run.\nThe report: /a/folder/with/a/long/name/report.html"
    console = Console(file=io.StringIO(), force_terminal=True, no_color=True, width=30)
    print_prose(said, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == (
        "Trial 2 is the best of all the\ntrials that were run.\nThe report:\n/a/folder/with/a/long/name/report.html\n"
    )


def test_only_the_ten_best_are_shown_but_all_are_counted() -> None:
    entries = [entry(number, value=number / 100) for number in range(30)]
    config = config_of("sweep.name=x")
    assert [int(row[0]) for row in rows(config, entries)] == list(range(29, 19, -1))
    assert "30 trials: 30 completed\n" in printed(config, entries)


def test_a_reason_is_not_taken_for_markup() -> None:
    reason = "OSError: [/dev/shm] is full [bold]"
    assert f"crashed: {reason}" in printed(config_of("sweep.name=x"), [entry(0, Outcome.CRASHED, None, reason=reason)])


def test_the_summary_counts_outcomes_and_names_the_best() -> None:
    text = printed(config_of("sweep.name=x"), ENTRIES)
    assert "6 trials: 4 completed, 1 pruned, 1 stuck; 1 more could not run and do not count (infeasible)\n" in text
    assert "Run the best configuration (trial 2) again, alone:" in text


def test_the_best_trial_is_judged_on_what_its_environment_has() -> None:
    told = "Judge it on fresh seeds and on {} that the search never saw:"
    assert told.format("test flows") in printed(config_of(), [entry(0)])
    cartpole = printed(config_of("+experiment=cartpole"), [entry(0)])
    assert told.format("episodes") in cartpole
    assert "flows" not in cartpole


def test_without_a_completed_trial_there_is_no_best_and_no_command_to_rerun_it() -> None:
    text = printed(config_of("sweep.name=x"), [ENTRIES[1]])
    assert "No trial completed, so there is no best one" in text
    assert "sweep.py" not in text
    assert "champion" not in text


@pytest.mark.parametrize(
    ("command", "values"),
    [
        pytest.param(
            ("+experiment=quickstart",),
            {"ppo.value_coef": 0.1 + 0.2, "ppo.lr": 3.0000000000000004e-05, "ppo.entropy_coef": 0.12345678901234568},
            id="many digits",
        ),
        pytest.param(
            ("ppo.lr=1e-3", "+space.ppo.gamma.choice=[0.0,0.5]", "sweep.seeds=5", "sweep.name=x", "~space.ppo.lr"),
            {"ppo.gamma": 0.5, "ppo.value_coef": 1.0, "ppo.entropy_coef": 0.001},
            id="a space of one's own",
        ),
        pytest.param(
            ("ppo.lr=1e-3", "++ppo.entropy_coef=0.2", "space.ppo.lr.log=[1e-6,1e-2]", "sweep.num_trials=3"),
            {"ppo.lr": 1e-05, "ppo.value_coef": 20.0, "ppo.entropy_coef": 0.3},
            id="overrides that give way",
        ),
        pytest.param(
            ("+space.ppo.hidden_sizes.choice=[[64,64],[8]]", "ppo.hidden_sizes=[16]", "ppo.num_iterations=40"),
            {"ppo.hidden_sizes": (8,), "ppo.lr": 0.01, "ppo.value_coef": 1.0, "ppo.entropy_coef": 0.1},
            id="a tuple",
        ),
        pytest.param(
            (
                "space=none",
                "+space.ppo.shared_trunk.choice=[true,false]",
                "+space.ppo.target_kl.choice=[null,0.02]",
                "+space.ppo.normalize_returns.choice=[none,batch]",
                "+space.ppo.minibatch_size.pow2=[32,256]",
                "ppo.target_kl=0.01",
            ),
            {
                "ppo.shared_trunk": True,
                "ppo.target_kl": None,
                "ppo.normalize_returns": "none",
                "ppo.minibatch_size": 64,
            },
            id="true, null, a word, a whole number",
        ),
        pytest.param(
            ("+experiment=owner_options", "sweep.seed=7", "data.seed=3"),
            {"ppo.value_coef": 5.0, "ppo.lr": 5e-4, "ppo.entropy_coef": 0.02},
            id="points",
        ),
        pytest.param(
            ("+experiment=cartpole", "sampler=random", "scheduler.grace_iterations=5", "health=none", "space=horizon"),
            {
                "ppo.gamma": 0.9,
                "ppo.gae_lambda": 1 / 3,
                "ppo.lr": 1e-4,
                "ppo.value_coef": 0.5,
                "ppo.entropy_coef": 1e-2,
            },
            id="another environment",
        ),
    ],
)
def test_the_rerun_command_composes_to_the_trials_own_configuration(
    command: tuple[str, ...], values: dict[str, Any]
) -> None:
    config = config_of(*command)
    space, _ = build_space(config)
    assert space.contains(values)
    expected = space.apply(config, values)
    words = make_rerun_command(config, command, entry(7, values=values))
    assert words[:2] == ["python", "sweep.py"]
    rerun = config_of(*words[2:])
    assert (rerun.ppo, rerun.env, rerun.data) == (expected.ppo, expected.env, expected.data)
    assert (rerun.sweep.seeds, rerun.sweep.seed) == (config.sweep.seeds, config.sweep.seed)
    assert rerun.sweep.name == f"{config.sweep.name}-trial7"
    assert (rerun.scheduler.name, rerun.health.enabled) == ("none", False)
    assert build_space(rerun) == (Space({}), [{}])  # one trial, and it is the configuration itself
    assert shlex.split(shlex.join(words)) == words


def test_a_rerun_trains_as_many_steps_as_the_trial_whose_rollouts_were_larger() -> None:
    command = ("+space.ppo.num_steps.pow2=[64,512]", "ppo.num_steps=64", "ppo.num_iterations=40", "ppo.lr=1e-3")
    config = config_of(*command)
    values = {"ppo.num_steps": 512, "ppo.lr": 3e-05, "ppo.value_coef": 1.0, "ppo.entropy_coef": 0.1}
    rerun = config_of(*make_rerun_command(config, command, entry(7, values=values))[2:])
    (space, _), (alone, points) = build_space(config), build_space(rerun)
    assert points == [values]
    assert alone.apply(rerun, values).ppo == space.apply(config, values).ppo
    assert alone.budget(rerun) == space.budget(config) == Budget(40 * 8 * 64, 20 * 8 * 64)


def test_options_are_kept_with_their_words() -> None:
    command = ("--config-dir", "health", "+experiment=quickstart", "health=none", "-cd=space", "ppo.lr=1e-3")
    words = make_rerun_command(config_of("sweep.name=x"), command, entry(0, values={"ppo.lr": 0.5}))
    assert words[2:6] == ["--config-dir", "health", "+experiment=quickstart", "-cd=space"]
    assert words[-2:] == ["sweep.name=x-trial0", "ppo.lr=0.5"]
    assert "ppo.lr=1e-3" not in words


def test_the_longest_name_can_be_rerun() -> None:
    config = config_of(f"sweep.name={'n' * 100}")
    words = make_rerun_command(config, (), entry(123456))
    name = config_of(*words[2:]).sweep.name
    assert name is not None
    assert name.endswith("n-trial123456")


def test_commands_are_printed_whole_and_as_a_shell_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "it's mine [/a]"
    command = (
        "+experiment=quickstart",
        f"sweep.folder='{str(folder).replace(chr(39), chr(92) + chr(39))}'",
        "sweep.name=x",
    )
    config = config_of(*command)
    assert config.sweep.folder == str(folder)
    values = {"ppo.value_coef": 0.5, "ppo.lr": 1e-3, "ppo.entropy_coef": 0.1}
    trial = entry(0, values=values)
    lines = printed(config, [trial], command, width=40).splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("  ")]
    assert [
        words for words in commands if words[0] in ("python", "MLFLOW_DISABLE_TELEMETRY=true", "optuna-dashboard")
    ] == [
        make_rerun_command(config, command, trial),
        ["python", "-m", "unstuck.sweeps", "champion", "x", "--folder", str(folder)],
        ["MLFLOW_DISABLE_TELEMETRY=true", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"],
        ["optuna-dashboard", f"sqlite:///{folder}/optuna.db"],
    ]


def test_no_command_shows_a_password() -> None:
    command = (
        "sweep.name=x",
        "tracking.mlflow_url=postgresql://me:secret@db/mlflow",
        "tracking.optuna_url=postgresql://me:secret@db/optuna",
    )
    config = config_of(*command)
    assert make_ui_commands(config) == [
        ["MLFLOW_DISABLE_TELEMETRY=true", "mlflow", "ui", "--backend-store-uri", "postgresql://***@db/mlflow"],
        ["optuna-dashboard", "postgresql://***@db/optuna"],
    ]
    assert make_champion_command(config)[-4:] == [
        *("--optuna-url", "postgresql://***@db/optuna"),
        *("--mlflow-url", "postgresql://***@db/mlflow"),  # the folder keeps neither
    ]
    text = printed(config, [entry(0)], command)
    assert "tracking.optuna_url=postgresql://***@db/optuna" in text
    assert "secret" not in text


def test_without_mlflow_there_is_no_command_for_it() -> None:
    assert [words[0] for words in make_ui_commands(config_of("tracking=none"))] == ["optuna-dashboard"]


def test_the_rerun_command_wins_over_what_an_experiment_sets_itself(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text(
        "# @package _global_\n"
        "scheduler: {name: asha}\nhealth: {enabled: true}\nsampler: {name: random}\n"
        "sweep: {max_hours: 0.5, num_trials: 9}\nspace: {ppo: {gamma: {float: [0.0, 1.0]}}}\n"
    )
    command = (f"hydra.searchpath=[file://{tmp_path}]", "+experiment=own")
    words = make_rerun_command(config_of(*command), command, entry(1, values={"ppo.gamma": 0.5}))
    rerun = config_of(*words[2:])
    assert (rerun.scheduler.name, rerun.health.enabled, rerun.sweep.max_hours) == ("none", False, None)
    assert build_space(rerun) == (Space({}), [{}])
    assert rerun.ppo.gamma == 0.5


def test_the_resume_command_is_the_call_itself_under_the_sweeps_name() -> None:
    config = config_of("sweep.name=x")
    command = ("--config-dir", "resume=no", "+experiment=wide", "sweep.num_trials=9", "sweep.name=x", "ppo.lr=0.5")
    expected = [
        "python",
        "sweep.py",
        "--config-dir",
        "resume=no",
        "+experiment=wide",
        "sweep.num_trials=9",
        "ppo.lr=0.5",
    ]
    assert make_resume_command(config, command) == [*expected, "resume=x"]
    assert make_resume_command(config, (*command[:4], "resume=x", *command[5:])) == [*expected, "resume=x"]
    (word,) = make_resume_command(config, ("tracking.optuna_url=postgresql://me:secret@db/runs",))[2:-1]
    assert word == "tracking.optuna_url=postgresql://***@db/runs"


def test_a_rerun_of_a_resumed_sweep_is_a_new_one() -> None:
    config = config_of("sweep.name=x")
    assert "resume=x" not in make_rerun_command(config, ("resume=x",), entry(0, values={"ppo.lr": 0.5}))


def test_what_the_report_says_stands_below_the_counts() -> None:
    text = printed(config_of(), ENTRIES, report="Trial 2 is the best.\nThe report: runs/mine/report/report.html")
    counts, said, where, blank, *_ = text[text.index("6 trials:") :].replace("\n\n", "\n", 1).splitlines()
    assert counts.startswith("6 trials:")
    assert (said, where, blank) == ("Trial 2 is the best.", "The report: runs/mine/report/report.html", "")


def test_a_tracking_server_is_named_by_its_own_address() -> None:
    config = config_of("sweep.name=x", "tracking.mlflow_url=http://me:secret@tracking:5000")
    assert [words[0] for words in make_ui_commands(config)] == ["optuna-dashboard"]
    text = printed(config, [entry(0)], experiment="3")
    assert "MLflow shows what was recorded:\n    all trials, best first: http://tracking:5000/#/experiments/3/" in text
    assert "mlflow ui" not in text
    assert "secret" not in text
