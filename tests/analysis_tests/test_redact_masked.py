"""No password is told; what is masked besides is at most too much."""

import random

import pytest
from sqlalchemy.engine import make_url
from unstuck.records.errors import SweepError
from unstuck.records.redact import redact_error, redact_url, redact_value, refuse_masked


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("postgresql://me:secret@db:5432/runs", "postgresql://***@db:5432/runs"),
        ("postgresql+psycopg://me:se@c/r:et@db/runs", "postgresql+psycopg://***@db/runs"),
        ("postgresql://me@server:secret@server.example/runs", "postgresql://***@server.example/runs"),
        ("redis://:secret@db", "redis://***@db"),
        (
            "postgresql://db/runs?user=me&password=secret&sslmode=disable",
            "postgresql://db/runs?user=***&password=***&sslmode=disable",
        ),
        ("postgresql://db/runs?password=se;cr@et&sslmode=disable", "postgresql://***&sslmode=disable"),
        ("postgresql://db/runs?passwrd=secret", "postgresql://db/runs?passwrd=***"),
        ("postgresql://me:zqpassword=qz@db", "postgresql://***@db"),
        ("sqlite:///file:o.db?uri=true&Password=secret", "sqlite:///file:o.db?uri=true&Password=***"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
        ("invalid dsn: host=db password=secret user=me", "invalid dsn: host=db password=*** user=me"),
        ("url: 'https://me:secret@host/' was refused", "url: 'https://***@host/' was refused"),
        ("a: mysql://a:secret@b/c\nd: mysql://e:secret@f/g", "a: mysql://***@b/c\nd: mysql://***@f/g"),
        ("postgresql://token@db/runs", "postgresql://***@db/runs"),
        ("postgresql://token@[::1]:5432/runs", "postgresql://***@[::1]:5432/runs"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////home/me/runs/mlflow.db", "sqlite:////home/me/runs/mlflow.db"),
        ("asha rung 2: 0.31 < 0.44, mail me@host", "asha rung 2: 0.31 < 0.44, mail me@host"),
    ],
)
def test_a_text(text: str, redacted: str) -> None:
    assert redact_url(text) == redacted


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        ("postgresql://me:my secret@db/runs", "postgresql://***@db/runs"),
        ("tracking.optuna_url=postgresql://me:my\nsecret@db/runs", "tracking.optuna_url=postgresql://***@db/runs"),
        ("me:secret@db/runs", "***@db/runs"),
        ("sqlite:///file:o.db?password=my secret&uri=true", "sqlite:///file:o.db?password=***&uri=true"),
        ("sqlite:////home/me/my runs/optuna.db", "sqlite:////home/me/my runs/optuna.db"),
    ],
)
def test_spaces_belong_to_a_value_and_not_to_a_url_in_a_text(value: str, redacted: str) -> None:
    assert redact_value(value) == redacted
    assert redact_url(value) != redacted or redacted == value


@pytest.mark.parametrize(
    ("url", "said", "redacted"),
    [
        ("postgresql://me:se@cret@db/x", "failed to resolve host 'cret@db'", "failed to resolve host '***@db'"),
        ("http://me:pass/word@db", "nonnumeric port: 'pass'", "nonnumeric port: '***'"),
        ("postgresql://me:p%40ss%20w@db/x", 'auth failed, got "p@ss w"', 'auth failed, got "***"'),
        ("postgresql://me:my secret@db", "no postgresql://me:my secret@db here", "no postgresql://***@db here"),
        ("postgresql://me:on@db", "no connection on port 5432", "no connection *** port 5432"),
        ("postgresql://me@db:5432/x", "connection refused at port 5432", "connection refused at port 5432"),
    ],
)
def test_what_a_library_says_of_a_url(url: str, said: str, redacted: str) -> None:
    assert redact_error(said, url) == redacted


def test_no_url_that_sqlalchemy_reads_keeps_its_password() -> None:
    draw = random.Random(1)
    for _ in range(2_000):
        password = "zqx" + "".join(draw.choices("abZ01@:/?#&=;%+ '\"$!*()[]{},.é\n", k=draw.randint(0, 8))) + "xqz"
        user = "".join(draw.choices("abc@ .+", k=draw.randint(0, 5)))
        option = password.replace("&", "")
        url = f"postgresql+psycopg://{user}:{password}@db:5432/runs{draw.choice(['', f'?a=1&password={option}'])}"
        try:
            heard = f"no host {make_url(url).host}, wrong password {make_url(url).password}"
        except ValueError as error:  # the port, as it takes it, is a part of the password
            heard = str(error)
        told = [redact_value(url), *(redact_error(said, url) for said in (f"cannot open {url}", heard))]
        assert not [text for text in told if "zqx" in text or "xqz" in text], url


def test_a_url_without_its_password_is_not_tried() -> None:
    refuse_masked("--optuna-url", "postgresql://me:secret@db/runs")
    refuse_masked("--optuna-url", None)
    masked = redact_value("postgresql://me:secret@db/runs")
    with pytest.raises(SweepError, match=r"^--optuna-url must be given, since the sweep's folder keeps no password: "):
        refuse_masked("--optuna-url", masked)
