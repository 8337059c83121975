"""Which sweep a record belongs to, by what its folder says."""

from pathlib import Path

import pytest
from unstuck.records.identity import Identity, list_study_names, read_identity


@pytest.mark.parametrize(
    ("own", "recorded", "owns"),
    [
        (Identity("a", 2), "a", True),
        (Identity("a", 2), "b", False),
        (Identity("a", 2), None, False),
        (Identity("a", 1), None, True),  # old records may lack it
        (Identity(None, 1), None, True),
        (Identity(None, 1), "b", False),
    ],
)
def test_a_record_is_owned_by_the_id_that_it_says(own: Identity, recorded: str | None, owns: bool) -> None:
    assert own.owns(recorded) is owns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: abc\nformat: 2\nppo: {lr: 1}\n", Identity("abc", 2)),
        ("ppo: {lr: 1}\n", Identity(None, 1)),
        ("- 1\n", None),
        ("id: [unclosed\n", None),
        ("", None),
    ],
)
def test_a_folder_says_who_it_is(tmp_path: Path, text: str, expected: Identity | None) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert read_identity(tmp_path) == expected


def test_a_folder_without_a_sweep_is_nobody(tmp_path: Path) -> None:
    assert read_identity(tmp_path) is None
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe")
    assert read_identity(tmp_path) is None


def test_a_name_that_is_taken_is_told_apart_by_the_id() -> None:
    assert list_study_names("horizon", "0123456789abcdef") == ("horizon", "horizon (01234567)")
