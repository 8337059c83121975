"""Drivers that are missing, and proxies that this machine's own servers are spared."""

import os

import pytest
from unstuck.records.drivers import explain_missing_driver
from unstuck.records.loopback import spare_loopback


def wrapped(cause: BaseException) -> RuntimeError:
    try:
        try:
            raise cause
        except BaseException as error:
            raise RuntimeError("storage cannot be opened") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("psycopg", "'unstuck[postgres]'"),
        ("psycopg2.extensions", "psycopg2-binary"),
        ("MySQLdb", "mysqlclient"),
        ("pymysql", "pymysql"),
    ],
)
def test_a_missing_driver_is_named_with_what_installs_it(module: str, package: str) -> None:
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    driver = module.partition(".")[0]
    told = f"the database's driver {driver} is not installed; pip install {package}"
    assert explain_missing_driver(error) == told
    assert explain_missing_driver(wrapped(error)) == told


def test_other_failures_miss_no_driver() -> None:
    assert explain_missing_driver(wrapped(OSError("no route to host"))) == ""
    assert explain_missing_driver(ImportError("cannot import name x")) == ""


HERE = ["localhost", "127.0.0.0/8", "::1"]


@pytest.mark.parametrize(
    ("lower", "upper", "exempt"),
    [
        (None, None, HERE),
        ("example.org, ::1", None, ["example.org", "::1", "localhost", "127.0.0.0/8"]),
        (None, "example.org", ["example.org", *HERE]),
        ("a", "b", ["a", *HERE]),  # the lower one holds, as with requests
        ("*", None, ["*"]),
    ],
)
def test_this_machine_is_asked_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, lower: str | None, upper: str | None, exempt: list[str]
) -> None:
    for name, value in (("no_proxy", lower), ("NO_PROXY", upper)):
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    spare_loopback()
    once = os.environ["no_proxy"]
    assert once.split(",") == exempt
    spare_loopback()
    assert os.environ["no_proxy"] == once
