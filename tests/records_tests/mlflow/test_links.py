from urllib.parse import parse_qs, urlsplit

import pytest
from unstuck.records.mlflow.links import (
    COMPARISON,
    TABLE,
    find_server,
    make_comparison_link,
    make_run_link,
    make_sweep_link,
    make_view_key,
)


def opened(link):
    """What the page after `#` is asked for: its path and its parameters."""
    path, _, query = urlsplit(link).fragment.partition("?")
    return path, {name: value for name, (value,) in parse_qs(query).items()}


def test_every_link_opens_model_training_with_its_view():
    path, asked = opened(make_sweep_link("http://host:5000", "3", "abc"))
    assert path == "/experiments/3/runs"
    assert asked == {"workflowType": "machine_learning", "viewStateShareKey": make_view_key("abc", TABLE)}
    path, asked = opened(make_comparison_link("http://host:5000", "3", "abc"))
    assert path == "/experiments/3/runs"
    assert asked == {
        "workflowType": "machine_learning",
        "compareRunsMode": "CHART",
        "viewStateShareKey": make_view_key("abc", COMPARISON),
    }
    assert opened(make_run_link("http://host:5000", "3", "0a1b")) == (
        "/experiments/3/runs/0a1b",
        {"workflowType": "machine_learning"},
    )


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://me:secret@mlflow.example/team/", "https://mlflow.example/team"),
        ("postgresql://me:secret@db/mlflow", "http://127.0.0.1:5000"),
        ("sqlite:////runs/mlflow.db", "http://127.0.0.1:5000"),
    ],
)
def test_the_server_is_where_the_pages_are_and_holds_no_password(url, server):
    assert find_server(url) == server
