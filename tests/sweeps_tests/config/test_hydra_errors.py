from pathlib import Path

import pytest
from hydra.errors import HydraException
from unstuck.records.errors import SweepError
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.compose import to_config
from unstuck.sweeps.config.hydra_errors import explain_errors

from tests.composing import CONF, composed


def refusal(*overrides: str) -> str:
    """The message, which is one line whatever it is about."""
    with pytest.raises((SweepError, ConfigError), match=r"^[^\n]+$") as caught, explain_errors():
        to_config(composed(*overrides))
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ppo.lrr=1", "unknown setting ppo.lrr; did you mean ppo.lr?"),
        ("lr=1", "unknown setting lr; did you mean ppo.lr?"),
        ("data=nsl_kd", "data has no option nsl_kd; did you mean data=nsl_kdd? There are: csv, nsl_kdd, synthetic"),
        ("ppo.lr=abc", "ppo.lr must be a number, got abc"),
        ("ppo.num_envs=1e-3", "ppo.num_envs must be a whole number, got 0.001"),
        ("ppo.hidden_sizes=[1.5]", "ppo.hidden_sizes must be a list of whole numbers, got 1.5"),
        ("ppo.lr=[", "ppo.lr must be a number, got ["),
        ("lonely", "cannot read 'lonely'; write key=value"),
        ("data=5", "Config group override must be a string or a list"),
        ("experiment=quickstart", "Could not override 'experiment'."),
        ("space.ppo.gamma.log=[1,2]", "Could not override 'space.ppo.gamma.log'. To append to your config use +space"),
        ("ppo.lr=1,2", "Ambiguous value for argument 'ppo.lr=1,2'; write key=[a,b]"),
        ("ppo.lr=${nope}", "ppo.lr must be a number, got ${nope}, and there is no nope"),
        ("ppo.lr=???", "ppo.lr must be a number, got ???"),
        ("ppo.minibatch_size=48", "minibatch_size must divide num_envs * num_steps = 1024, got 48; try 32 or 64"),
        ("data=nsl_kdd", "data.path must name a file for data=nsl_kdd; add data.path=FILE"),
        ("sweep.name=a/b", "sweep.name must be 1 to 100 letters"),
    ],
)
def test_what_cannot_be_composed_is_one_line(override: str, message: str) -> None:
    assert refusal(override).startswith(message)


def test_a_mistyped_experiment_names_the_nearest_and_all() -> None:
    message = refusal("+experiment=quikstart")
    assert message.startswith("experiment has no option quikstart; did you mean +experiment=quickstart? There are: ")
    for file in (CONF / "experiment").glob("*.yaml"):
        assert file.stem in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# @package _global_\nppo: {lrr: 1}\n", "experiment/mine.yaml: unknown setting ppo.lrr; did you mean ppo.lr?"),
        ("# @package _global_\nppo: {lr: abc}\n", "experiment/mine.yaml: ppo.lr must be a number, got abc"),
        (
            "# @package _global_\nppo.lr: 1\n",
            "experiment/mine.yaml: ppo.lr must be nested in a file: {ppo: {lr: VALUE}}",
        ),
        (
            "# @package _global_\ndata: csv\n",
            "experiment/mine.yaml: data takes settings, got csv; an option is chosen by",
        ),
        ("# @package _global_\nppo: {lr: [1, 2]}\n", "experiment/mine.yaml: ppo.lr must be a number, got a list"),
        ("# @package _global_\nspace: {ppo: {lr: [1, 2]}}\n", "experiment/mine.yaml: space holds {ppo: {lr: {log: [l"),
        (
            "# @package _global_\ndefaults: [/data: csv]\n",
            "data is chosen twice; an option is chosen by 'override /data",
        ),
        ("ppo: {lr: 1}\n", "experiment/mine.yaml must have '# @package _global_' as its first line, and settings"),
        ("- 1\n", "experiment/mine.yaml must have '# @package _global_' as its first line, and settings below, such"),
        ("defaults: [{override /ppo: stuck_run}]\n", "experiment/mine.yaml must have '# @package _global_'"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    assert refusal(f"hydra.searchpath=[file://{tmp_path}]", "+experiment=mine").startswith(message)


CLOSE = "close it, and put a reference ${...} in quotes"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sweep:\n\tnum_trials: 2\n", "3 begins with a tab; indent by spaces"),
        ("ppo: {lr: 1\n", f"2 has a bracket that is not closed by }}; {CLOSE}"),
        (
            "ppo: {lr: ${x}}\n",
            f"2 has a bracket that is not closed by }}; {CLOSE}",
        ),
        ("arms: [1, 2\n", f"2 has a bracket that is not closed by ]; {CLOSE}"),
        ("sweep: seeds: 2\n", "2 has a colon too many; give each setting its own line, indented alike"),
        ("ppo: {lr: 1}\nppo: {gamma: 0}\n", "3 has the key ppo a second time; write all of its settings in one place"),
        ("ppo: !!python/name:os.abort\n", "2 has the tag python/name:os.abort; leave it out, settings are plain"),
        ("ppo: *x\n", "2 cannot be read: found undefined alias 'x'"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused_in_our_words(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "experiment" / "mine.yaml"
    file.parent.mkdir()
    file.write_text(f"# @package _global_\n{text}")
    said = refusal(f"hydra.searchpath=[file://{tmp_path}]", "+experiment=mine")
    assert said == f"{file} must be YAML, and line {message}"


def test_without_translation_the_message_has_no_hint() -> None:
    with pytest.raises(HydraException, match=r"Could not override 'ppo.lrr'") as caught:
        composed("ppo.lrr=1")
    assert "did you mean" not in str(caught.value)
