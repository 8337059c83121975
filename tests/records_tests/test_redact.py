"""No secret of a URL is told; what may be told is; and texts without one stay as they are."""

import random
import string
from urllib.parse import quote

import pytest
from unstuck.records.redact import redact_error, redact_url, redact_value

SIGNS = string.ascii_letters + string.digits + "@:/?#&=;%+'\"$!*()[]{},.-_~é"


def test_no_secret_piece_of_any_url_survives() -> None:
    draw = random.Random(3)

    def secret(signs: str = SIGNS) -> str:
        return "zqx" + "".join(draw.choices(signs, k=draw.randint(0, 12))) + "xqz"

    for _ in range(3_000):
        login = draw.choice(
            [secret(), f"{secret()}:{secret()}", f"me:{secret()}", f":{secret()}", quote(secret(), safe="")]
        )
        login = f"{login}@" if draw.random() < 0.7 else ""
        name = draw.choice(["sig", "key", "auth", "password", "X-Amz-Signature", "se", "user", "mode", "timeout", "t"])
        option = secret(SIGNS.replace("&", ""))
        query = draw.choice(["", f"?{name}={option}", f"?sslmode=require&{name}={option}", f"?{option}"])
        fragment = draw.choice(["", f"#{secret()}"])
        scheme = draw.choice(["postgresql+psycopg", "https", "mysql", "mssql+pyodbc"])
        url = f"{scheme}://{login}db.example:5432/runs{query}{fragment}"
        told = [redact_value(url), redact_url(f"cannot open {url} now"), redact_error(f"no {url}, refused", url)]
        told += [redact_value(f"tracking.mlflow_url={url}"), redact_url(f"url: {url}\nfolder: runs")]
        assert not [text for text in told if "zqx" in text or "xqz" in text], url
        if not (query or fragment or set("/?#") & set(login)):
            assert redact_value(url) == f"{scheme}://{'***@' if login else ''}db.example:5432/runs"


@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_quotes_around_a_url_stay_in_a_word(quote: str) -> None:
    """As Hydra wants them around a URL with `=`: a word that loses the second is no setting any more."""
    url = "sqlite:///file:o.db?uri=true&password={}"
    masked, said = (f"tracking.optuna_url={quote}{url.format(word)}{quote}" for word in ("***", "s3cret"))
    assert redact_value(said) == masked
    assert redact_value(said + "x") == masked.removesuffix(quote)  # the quote is part of the password


@pytest.mark.parametrize(
    "text",
    [
        "at 12:30 the loss was 0.31: asha rung 2: 0.31 < 0.44",
        r"C:\Users\me\runs and D:/data/flows.csv",
        "ask me@example.org, or the list: dev@example.org",
        "is that so? yes = no; write key=value, such as ppo.lr=1e-3",
        "http://127.0.0.1:5000 and http://[::1]:5000/path/x.html",
        "sqlite:////home/me@corp/a#b/runs/mlflow.db",
        "sqlite:///file:o.db?mode=ro&uri=true",
        "file:///home/me/mlflow-artifacts/ab12/artifacts",
        "postgresql://db:5432/runs?sslmode=verify-full&connect_timeout=10",
        "trial 3 (lr 3e-4, 50 % of 20): 1/2 done; see docs/resume.md#how",
    ],
)
def test_harmless_texts_stay_as_they_are(text: str) -> None:
    assert redact_url(text) == text
    assert redact_error(text, "ppo.lr=0.1", "+experiment=quickstart", "data.path=a@b.csv") == text
