"""Make links that open a sweep or a run in MLflow's pages, on model training.

MLflow opens its pages for language models unless the address says otherwise; the experiment's kind changes nothing.
"""

from urllib.parse import urlencode, urlsplit, urlunsplit

LOCAL_SERVER = "http://127.0.0.1:5000"
"""Address at which `mlflow ui` shows a database."""

TABLE, COMPARISON = "table", "comparison"
"""Views of a sweep: all trials with the columns that matter; the best trials and the control side by side."""

_TRAINING = {"workflowType": "machine_learning"}


def find_server(mlflow_url: str) -> str:
    """Return the address of MLflow's web pages: the server's without password, or `LOCAL_SERVER` for a database.

    Example:
        >>> find_server("http://me:secret@host:5000/")
        'http://host:5000'
        >>> find_server("sqlite:////runs/mlflow.db")
        'http://127.0.0.1:5000'
    """
    if not mlflow_url.startswith(("http://", "https://")):
        return LOCAL_SERVER
    parts = urlsplit(mlflow_url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def make_view_key(sweep_id: str, view: str) -> str:
    """Return the key of a sweep's prepared MLflow page, stored in the tag `mlflow.sharedViewState.KEY`.

    Args:
        sweep_id: Id of the sweep.
        view: `TABLE` or `COMPARISON`.
    """
    return f"{sweep_id}-{view}"


def make_sweep_link(server: str, experiment: str, sweep_id: str) -> str:
    """Return the address of MLflow's table of a sweep's trials, best first, with chosen columns.

    Args:
        server: Address of MLflow's pages, see `find_server`.
        experiment: Id of the MLflow experiment.
        sweep_id: Id of the sweep.
    """
    return _make_runs_link(server, experiment, {"viewStateShareKey": make_view_key(sweep_id, TABLE)})


def make_experiments_link(server: str) -> str:
    """Return the address of MLflow's list of all experiments.

    Example:
        >>> make_experiments_link("http://127.0.0.1:5000")
        'http://127.0.0.1:5000/#/experiments?workflowType=machine_learning'
    """
    return f"{server}/#/experiments?{urlencode(_TRAINING)}"


def make_comparison_link(server: str, experiment: str, sweep_id: str) -> str:
    """Return the address of MLflow's chart that compares a sweep's best trials and the control."""
    chart = {"compareRunsMode": "CHART", "viewStateShareKey": make_view_key(sweep_id, COMPARISON)}
    return _make_runs_link(server, experiment, chart)


def make_run_link(server: str, experiment: str, run_id: str) -> str:
    """Return the address of MLflow's page of one run.

    Example:
        >>> make_run_link("http://127.0.0.1:5000", "1", "0a1b")
        'http://127.0.0.1:5000/#/experiments/1/runs/0a1b?workflowType=machine_learning'
    """
    return f"{server}/#/experiments/{experiment}/runs/{run_id}?{urlencode(_TRAINING)}"


def add_links(note: str, experiment: str, sweep_id: str) -> str:
    """Add links to the sweep's two prepared MLflow pages to a sweep's note; the links work on any server.

    Args:
        note: Note in Markdown.
        experiment: Id of the MLflow experiment.
        sweep_id: Id of the sweep.
    """
    here = "."
    table, chart = make_sweep_link(here, experiment, sweep_id), make_comparison_link(here, experiment, sweep_id)
    return f"{note}\n\n[All trials, best first]({table}) · [Best trials and control]({chart})"


def _make_runs_link(server: str, experiment: str, view: dict[str, str]) -> str:
    # Without a filter or an order: MLflow ignores the view if the address names one.
    return f"{server}/#/experiments/{experiment}/runs?{urlencode(_TRAINING | view)}"
