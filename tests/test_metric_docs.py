"""The metrics that `docs/metrics.md` defines are those that the code names, and those that learners log."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from unstuck.rl import metrics
from unstuck.rl.config import TRIAGE, DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import load_flows
from unstuck.rl.make_learner import make_learner
from unstuck.rl.metrics import ACTIONS
from unstuck.rl.ppo import Hyperparameters
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
TRAINING, CRITIC, NETWORKS, ENVIRONMENT, EVALUATION, TRIAGE_ONLY = (
    "Training: every iteration",
    "The critic: at evaluation iterations",
    "The networks: at evaluation iterations",
    "The environment: at a few evaluation iterations",
    "Evaluation: every environment",
    "Evaluation: triage only",
)
IN_FORCE = "What is in force: where a worker starts or goes on"
END, SEEDS = "At a trial's end", "One member's own value"
ANY_ACTION = metrics.action_metric("<action>")
ANY_GREEDY_ACTION = metrics.greedy_metric("<action>")
ANY_SETTING = metrics.effective_metric("<setting>")
ANY_SEED = metrics.seed_metric("<name>", 0).replace("0", "<member>")


def documented() -> dict[str, dict[str, str]]:
    """Rows of the page's tables: definition by name, by the heading above them."""
    sections = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        rows = re.findall(r"^\| `(\S+)` \| (.+) \| .+ \|$", section, flags=re.MULTILINE)
        if rows:
            sections[section.partition("\n")[0]] = dict(rows)
    return sections


def declared() -> set[str]:
    """Every name that `rl.metrics` declares, the families by their pattern."""
    constants = {value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)}
    families = {metrics.ACTION_PREFIX, metrics.GREEDY_PREFIX, metrics.EFFECTIVE_PREFIX, metrics.FINAL_PREFIX}
    return constants - families | {ANY_ACTION, ANY_GREEDY_ACTION, ANY_SETTING, ANY_SEED}


def logged(env_id: str, actions: tuple[str, ...]) -> list[set[str]]:
    """Names that a tiny learner logs in each of 4 iterations of 16 steps; shares of the actions by their pattern."""
    config = PPOConfig(
        num_iterations=4, num_envs=2, num_steps=16, minibatch_size=16, num_epochs=1, hidden_sizes=(4,), eval_every=2
    )
    env = EnvConfig(id=env_id, flows_per_episode=28, eval_episodes=1)  # ends in iterations 2 and 4
    data = load_flows(DataConfig(num_flows=500, num_features=4, eval_flows=20)) if env_id == TRIAGE else None
    learner = make_learner(config, env, make_member_seeds(0, 2), make_evaluation_seed(0), data)
    iterations = [learner.iterate() for _ in range(config.num_iterations)]
    shares = {metrics.action_metric(action): ANY_ACTION for action in actions}
    assert set(shares) <= set(iterations[0])
    shares |= {metrics.greedy_metric(action): ANY_GREEDY_ACTION for action in actions}
    return [{shares.get(name, name) for name in measured} for measured in iterations]


def test_the_page_defines_what_the_code_names() -> None:
    names = [name for rows in documented().values() for name in rows]
    assert sorted(names) == sorted(declared())


def test_each_name_stands_under_its_heading() -> None:
    page = documented()
    assert set(page[TRAINING]) == {*metrics.TRAIN, *metrics.PROGRESS, ANY_ACTION}
    assert set(page[CRITIC]) == set(metrics.CRITIC)
    assert set(page[NETWORKS]) == set(metrics.NETWORKS)
    assert set(page[ENVIRONMENT]) == set(metrics.ENVIRONMENT)
    judged = {
        metrics.OBSERVATION_SHIFT,
        metrics.START_SCALE,
        metrics.STARTS_ALIKE,
        metrics.STARTS_UNSEEN,
        *metrics.EVAL,
        *metrics.TRIVIAL,
        metrics.F1_TRAIN,
        ANY_GREEDY_ACTION,
    }
    assert set(page[EVALUATION]) | set(page[TRIAGE_ONLY]) == judged
    assert set(page[END]) == {name for name in declared() if name.startswith(metrics.FINAL_PREFIX)}


def test_a_triage_learner_logs_what_the_page_defines_and_when() -> None:
    page = {heading: set(rows) for heading, rows in documented().items()}
    evaluated = page[TRAINING] | page[CRITIC] | page[NETWORKS] | page[EVALUATION] | page[TRIAGE_ONLY]
    first, second, third, last = logged(TRIAGE, ACTIONS)
    ended = {metrics.TRAIN_RETURN, metrics.EPISODE_LENGTH, metrics.START_REPEATS}
    assert first == page[TRAINING] - ended, "no episode has ended yet"
    assert third == page[TRAINING], "no episode ended, the return is carried over"
    starts = {metrics.START_SCALE, metrics.STARTS_ALIKE, metrics.STARTS_UNSEEN}
    evaluated -= starts  # what triage shows does not depend on the policy: all of it is compared
    assert second == last == evaluated | {metrics.COLUMNS_CONSTANT}, "of 64 steps regressions say nothing"


def test_the_page_names_every_setting_that_is_read_back() -> None:
    definition = documented()[IN_FORCE][ANY_SETTING]
    assert all(f"`{field.name}`" in definition for field in fields(Hyperparameters))


def test_another_environment_logs_no_f1() -> None:
    page = documented()
    assert logged("CartPole-v1", ("0", "1"))[-1] - {metrics.COLUMNS_CONSTANT} == {
        name for heading in (TRAINING, CRITIC, NETWORKS, EVALUATION) for name in page[heading]
    } - {metrics.STARTS_ALIKE}, "one episode has no other beside it"


@pytest.mark.parametrize("name", [*metrics.PER_SEED, metrics.FINAL_VALUE])
def test_the_page_says_which_values_are_logged_for_each_member(name: str) -> None:
    assert f"`{name}`" in documented()[SEEDS][ANY_SEED]
