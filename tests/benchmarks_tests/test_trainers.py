"""The studies of other trainers: what they show of a report, and both from the command to the verdict, small."""

from pathlib import Path

import pytest

from benchmarks import trainers

REPORT = """# Report of the unstick freed: broken/0

**Trial 1 (lr 0.001) wins.**

Contents: [What was wrong](#what-was-wrong)

![curves](a.svg)

## What was wrong

Stuck.

## What worked

Nothing.

## What was tried, beside the untouched control

| trial |
"""


def test_the_verdict_and_three_parts_of_the_report_are_shown() -> None:
    told = trainers.tell_report(REPORT)
    assert told.startswith("**Trial 1 (lr 0.001) wins.**\n\n## What was wrong\n\nStuck.\n")
    assert "| trial |" in told
    assert "Nothing." not in told
    assert "a.svg" not in told


@pytest.mark.slow
@pytest.mark.chaos  # minutes, since each command starts Python with PyTorch
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("study", "said"), [("sb3", "updates are too large"), ("cleanrl", "fresh weights")])
def test_a_study_goes_from_the_broken_run_to_the_verdict(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], study: str, said: str
) -> None:
    if study == "sb3":
        pytest.importorskip("stable_baselines3", reason="it comes with the extra `sb3`")
    assert trainers.main([study, "--quick", "--folder", str(tmp_path), "--cpus", "1"]) == 0
    told = capfd.readouterr().out
    assert said in told.lower()
    assert "| 0 (control) |" in told
    assert "## How the verdict was made" in told
    assert (tmp_path / f"{study}-freed" / "report" / "verdicts.json").exists()
