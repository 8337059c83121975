"""A webhook hears of ends, champions and breaks, on a server of this machine; nothing is sent unless configured."""

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from unstuck.records.redact import redact_url
from unstuck.sweeps import webhook
from unstuck.sweeps.webhook import VARIABLE, notify

from tests.conftest import Command

SMALL = (
    *("+experiment=quickstart", "data.num_flows=2000", "ppo.num_iterations=4", "ppo.eval_every=2", "ppo.num_steps=32"),
    *("ppo.minibatch_size=64", "scheduler=none", "tracking=none", "sweep.seeds=1", "sweep.num_trials=1"),
)
PATH = "/services/T000/B000/s3cret"


@dataclass
class Server:
    """A server that keeps what is posted to it, and answers with a status."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 200
    pause: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"].startswith("application/json")
            found.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            found.paths.append(self.path)
            if found.status == 0:
                found.pause.wait(10)
                return
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        found = Server(f"http://127.0.0.1:{listening.server_port}{PATH}")
        monkeypatch.setenv(VARIABLE, found.url)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # which nothing on this machine may go through
        yield found
        found.pause.set()
        listening.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray")
def test_the_end_of_a_sweep_is_told_once_and_the_url_stands_nowhere(command: Command, server: Server) -> None:
    done = command(*SMALL, "sweep.name=told")
    assert done.code == 0, done.err
    ((name, text),) = [tuple(*body.items()) for body in server.bodies]
    assert (name, server.paths) == ("text", [PATH])
    first, counts, *report = text.splitlines()
    assert (first, counts) == ("Unstuck: sweep told has ended", "1 completed")
    assert report[-1] == f"The report: {command.folder}/runs/told/report/report.html"
    assert "s3cret" not in done.out + done.err
    for file in (command.folder / "runs").rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes(), file


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray")
def test_a_break_is_told_and_a_webhook_that_fails_fails_nothing(
    command: Command, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the driver's own fault")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unstuck.sweeps.run.sweep._run_trials", fail)
        assert command(*SMALL, "sweep.name=broken").code == 1
    assert server.bodies == [{"text": "Unstuck: sweep broken broke: RuntimeError: the driver's own fault"}]
    server.status = 500
    done = command(*SMALL, "sweep.name=again")
    assert done.code == 0
    (warning,) = [line for line in done.out.splitlines() if "webhook" in line]
    assert warning == f"warning: the webhook was not told: HTTP Error 500: Internal Server Error; check {VARIABLE}"


def test_a_champion_is_told(command: Command, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from unstuck.sweeps.config.settings import StudyConfig, SweepConfig

    config = SweepConfig(sweep=StudyConfig(name="kdd"))
    monkeypatch.setattr("unstuck.sweeps.config.find.find_sweep", lambda *_: config)
    monkeypatch.setattr("unstuck.sweeps.champion.judge_champion", lambda *_: None)
    monkeypatch.setattr("unstuck.sweeps.champion.describe_champion", lambda *_: ["trial 7 beats the control by 0.1"])
    monkeypatch.setattr("unstuck.sweeps.explain.reports.rewrite_reports", lambda *_: "")
    assert command.unstuck("champion", "kdd").code == 0
    assert server.bodies == [
        {"text": "Unstuck: the champion of kdd was judged\ntrial 7 beats the control by 0.1"},
    ]


def test_nothing_is_sent_unless_configured(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", " "):
        monkeypatch.setenv(VARIABLE, value)
        assert notify("x") == ""
    monkeypatch.delenv(VARIABLE)
    assert notify("x") == ""
    assert server.bodies == []


def test_secrets_in_a_text_are_masked(server: Server) -> None:
    assert notify("cannot reach postgresql://me:s3cret@db/runs") == ""
    assert server.bodies == [{"text": "cannot reach postgresql://***@db/runs"}]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1/hooks/s3cret", "<urlopen error [Errno 111] Connection refused>"),
        ("hooks.slack.com/services/s3cret", "UNSTUCK_NOTIFY_URL must be the URL of a webhook, such as https://hooks"),
        ("file:///etc/s3cret", "UNSTUCK_NOTIFY_URL must be the URL of a webhook, such as https://hooks"),
    ],
)
def test_what_cannot_be_sent_is_one_line_without_the_url(url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, url)
    warning = notify("x")
    assert warning.startswith(f"warning: the webhook was not told: {said}")
    assert "s3cret" not in warning
    assert "\n" not in warning


def test_a_server_that_does_not_answer_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.2)
    server.status = 0
    assert "timed out" in notify("x")


def test_a_wrong_url_is_refused_before_anything_starts(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "hooks.slack.com/services/s3cret")
    done = command(*SMALL)
    assert (done.code, done.err.count("\n"), (command.folder / "runs").exists()) == (2, 1, False)
    assert done.err.startswith("sweep.py: error: UNSTUCK_NOTIFY_URL must be the URL of a webhook")
    assert "s3cret" not in done.err


def test_a_url_on_the_command_line_is_refused(command: Command) -> None:
    done = command("notify.url=https://hooks.slack.com/services/s3cret")
    assert done.err == (
        "sweep.py: error: notify.url must be left out, since a webhook's URL is a secret; set the variable "
        "UNSTUCK_NOTIFY_URL\n"
    )


def test_a_webhooks_url_is_masked_wherever_it_stands() -> None:
    text = "see https://hooks.slack.com/services/T0/B0/s3cret and http://chat.example/hooks/s3cret, not http://db:5/x"
    assert redact_url(text) == "see https://hooks.slack.com/*** and http://chat.example/*** not http://db:5/x"
