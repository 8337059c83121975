"""The fixture `command`: what runs in this process behaves as a process of its own."""

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf


def test_a_mistake_is_one_line_and_status_2(command):
    done = command("ppo.lrr=1")
    assert (done.code, done.out) == (2, "")
    assert done.err == "sweep.py: error: unknown setting ppo.lrr; did you mean ppo.lr?\n"
    assert command("format=1").err.startswith("sweep.py: error: format must be left out")
    assert command.sweeps("audit", "nothing").code == 2
    assert command.analysis("diagnose", "nothing").code == 2


def test_a_sweep_of_commit_3fefaf5_has_format_1(old_sweeps):
    from unstuck.sweeps.config.find import load_sweep

    assert load_sweep(old_sweeps / "runs" / "stopped").format == 1


def test_a_composition_from_what_was_read_once_is_that_of_hydra_by_itself(tmp_path, monkeypatch, composed_fast):
    """A group that is chosen by another one's choice, and a file that changes: neither may be what it was before."""
    for name, text in {
        "config": "defaults: [one: a, other: '${one}', _self_]\nown: 1\n",
        **{f"{group}/{option}": f"name: {group} {option}\n" for group in ("one", "other") for option in "ab"},
    }.items():
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def composed(*overrides):
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            return OmegaConf.to_container(compose("config", overrides=[*overrides], return_hydra_config=True))

    def several():
        (tmp_path / "one" / "a.yaml").write_text("name: one a\n")
        first = composed(), composed(), composed("one=b", "own=2")
        (tmp_path / "one" / "a.yaml").write_text("name: changed\n")
        return *first, composed()

    fast = several()
    assert [one["one"]["name"] for one in fast] == ["one a", "one a", "one b", "changed"]
    assert [one["other"]["name"] for one in fast] == ["other a", "other a", "other b", "other a"]
    composed_fast(monkeypatch)
    assert several() == fast
