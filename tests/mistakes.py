"""Wrong inputs of every kind, each with the start of the line that answers: `test_mistakes.py` holds the program to it.

Messages begin behind `PROGRAM: error: `; {here} stands for the folder where the command runs.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROW = "1,2.0,BENIGN"
FLOWS = "id,rate,Label\n" + "\n".join(f"{k},{k / 7},{'BENIGN' if k % 3 else 'DDoS'}" for k in range(300)) + "\n"
CURVE = "iteration,value_loss,ep_rew_mean\n" + "\n".join(f"{k},{1 / k},{k}" for k in range(1, 40)) + "\n"


@dataclass(frozen=True)
class Mistake:
    """A wrong call of `unstuck`.

    Attributes:
        words: Words of the command line.
        message: Start of the line that answers.
        files: Files that are there, by path; a function is called with the path.
    """

    words: str
    message: str
    files: dict[str, str | bytes | Callable[[Path], Any]] = field(default_factory=dict)


def make_database(path: Path) -> None:
    """Make an SQLite file of another program's."""
    with sqlite3.connect(path) as database:
        database.execute("create table songs (name text)")


def make_future_ledger(path: Path) -> None:
    """Make a ledger of a version of Optuna's that does not exist yet."""
    import optuna

    optuna.create_study(storage=f"sqlite:///{path}", study_name="kdd")
    with sqlite3.connect(path) as database:
        database.execute("update alembic_version set version_num = 'v99'")


def make_other_ledger(path: Path) -> None:
    """Make a ledger that holds another study."""
    import optuna

    optuna.create_study(storage=f"sqlite:///{path}", study_name="other")


KDD = "runs/kdd/config.yaml"
SETTINGS = "format: 3\nid: 0123456789abcdef\nsweep: {name: kdd}\n"

COMMANDS = [
    Mistake(
        "",
        (
            "a command must be one of sweep, unstick, champion, diagnose, compare, report, list, show, ui, audit, "
            "stop, delete, doctor, completion, got ''; see --help"
        ),
    ),
    Mistake(
        "lst",
        (
            "a command must be one of sweep, unstick, champion, diagnose, compare, report, list, show, ui, audit, "
            "stop, delete, doctor, completion, got 'lst'; did you mean list?"
        ),
    ),
    Mistake(
        "list --fodler x",
        "unrecognized arguments: --fodler x; --help shows examples",
    ),
    Mistake(
        "list --folder gone",
        "--folder must be a folder that holds sweeps, got gone: there is none; --folder names it",
    ),
    Mistake(
        "list --folder runs",
        "--folder must be a folder that holds sweeps, got runs: there is none; --folder names it",
        {"runs": "a file"},
    ),
    Mistake(
        "show",
        "the following arguments are required: NAME; --help shows examples",
    ),
    Mistake(
        "show gone",
        "no sweep in {here}/runs/gone; sweeps in {here}/runs: none",
    ),
    Mistake(
        "show kdd",
        "a sweep's config.yaml must be YAML, got 'a: [1'; put the sweep's own file there",
        {KDD: "a: [1"},
    ),
    Mistake(
        "show kdd",
        "a sweep's config.yaml must hold settings by group, got 'just text'; put the sweep's own file there",
        {KDD: "just text"},
    ),
    Mistake(
        "show kdd",
        "the ledger must be a database that exists, got {here}/runs/optuna.db; check sweep.folder",
        {KDD: ""},
    ),
    Mistake(
        "show kdd",
        "{here}/runs/kdd/config.yaml must be UTF-8 text, and holds other bytes; put the sweep's own file there",
        {KDD: b"sweep: {name: \xff}"},
    ),
    Mistake(
        "show kdd",
        (
            "format must be 1 to 3, what this version of Unstuck can go on with, got 99; take the version that the "
            "sweep was made with"
        ),
        {KDD: "format: 99\n"},
    ),
    Mistake(
        "show kdd",
        "unknown setting ppo.wings; did you mean ppo.clip_range?",
        {KDD: "format: 3\nppo: {wings: 2}\n"},
    ),
    Mistake(
        "show kdd",
        (
            "a sweep's config.yaml must hold settings as the sweep wrote them, got others: '>' not supported between "
            "instances of 'str' and 'int'; put the sweep's own file there"
        ),
        {KDD: "format: 3\nppo: {lr: fast}\n"},
    ),
    Mistake(
        "show kdd",
        "the ledger must be a database that exists, got {here}/runs/optuna.db; check sweep.folder",
        {KDD: SETTINGS},
    ),
    Mistake(
        "show kdd",
        (
            "tracking.optuna_url must be a database of optuna's own that can be opened, got "
            "sqlite:///{here}/runs/optuna.db: (sqlite3.DatabaseError) file is not a database"
        ),
        {KDD: SETTINGS, "runs/optuna.db": "no database"},
    ),
    Mistake(
        "show kdd",
        "the ledger must hold the sweep 'kdd' with the id 0123456789abcdef, and does not; check tracking.optuna_url",
        {KDD: SETTINGS, "runs/optuna.db": b""},
    ),
    Mistake(
        "show kdd",
        "the ledger must hold the sweep 'kdd' with the id 0123456789abcdef, and does not; check tracking.optuna_url",
        {KDD: SETTINGS, "runs/optuna.db": make_database},
    ),
    Mistake(
        "show kdd",
        (
            "tracking.optuna_url must be a database of optuna's own that can be opened, got "
            "sqlite:///{here}/runs/optuna.db: The runtime optuna version 5.0.0 is no longer compatible with the "
            "table schema (set up by optuna 5.0.0). Please try updating optuna to the latest version by `$ pip "
            "install -U optuna`."
        ),
        {KDD: SETTINGS, "runs/optuna.db": make_future_ledger},
    ),
    Mistake(
        "show kdd",
        "the ledger must hold the sweep 'kdd' with the id 0123456789abcdef, and does not; check tracking.optuna_url",
        {KDD: SETTINGS, "runs/optuna.db": make_other_ledger},
    ),
    Mistake(
        "show kdd",
        (
            "tracking.optuna_url must be a database of optuna's own that can be opened, got "
            "sqlite:///{here}/runs/optuna.db: (sqlite3.OperationalError) unable to open database file"
        ),
        {KDD: SETTINGS, "runs/optuna.db": Path.mkdir},
    ),
    Mistake(
        "show kdd --optuna-url nonsense",
        (
            "tracking.optuna_url must be a database of optuna's own that can be opened, got nonsense: Could not "
            "parse SQLAlchemy URL from given URL string"
        ),
        {KDD: SETTINGS},
    ),
    Mistake(
        "show kdd --optuna-url mysq://me:s3cret@db/x",
        (
            "tracking.optuna_url must be a database of optuna's own that can be opened, got mysq://***@db/x: Can't "
            "load plugin: sqlalchemy.dialects:mysq"
        ),
        {KDD: SETTINGS},
    ),
    Mistake(
        "show kdd --optuna-url postgresql://me:s3cret@127.0.0.1:1/x",
        (
            "tracking.optuna_url must be a database of optuna's own that can be opened, got "
            "postgresql://***@127.0.0.1:1/x: the database's driver psycopg is not installed; pip install "
            "'unstuck[postgres]'"
        ),
        {KDD: SETTINGS},
    ),
    Mistake(
        "show kdd --optuna-url mysql://me:s3cret@127.0.0.1:1/x",
        (
            "tracking.optuna_url must be a database of optuna's own that can be opened, got "
            "mysql://***@127.0.0.1:1/x: the database's driver MySQLdb is not installed; pip install mysqlclient"
        ),
        {KDD: SETTINGS},
    ),
    Mistake(
        "show kdd",
        "--optuna-url must be given, since the sweep's folder keeps no password: postgresql://***@db/x",
        {KDD: SETTINGS + "tracking: {optuna_url: 'postgresql://***@db/x'}\n"},
    ),
    Mistake(
        "stop gone",
        "no sweep in {here}/runs/gone; sweeps in {here}/runs: none",
    ),
    Mistake(
        "delete gone",
        "no sweep in {here}/runs/gone; sweeps in {here}/runs: none",
    ),
    Mistake(
        "ui gone",
        "no sweep in {here}/runs/gone; sweeps in {here}/runs: none",
    ),
    Mistake(
        "ui --folder gone",
        (
            "--folder must be a folder in which sweeps have run, got gone, which holds no mlflow.db and no "
            "optuna.db; name the folder, or a sweep"
        ),
    ),
    Mistake(
        "audit gone",
        "no sweep in {here}/runs/gone; sweeps in {here}/runs: none",
    ),
    Mistake(
        "audit kdd",
        "the ledger must be a database that exists, got {here}/runs/optuna.db; check sweep.folder",
        {KDD: SETTINGS},
    ),
    Mistake(
        "audit kdd --mlflow-url http://127.0.0.1:1",
        "the ledger must hold the sweep 'kdd' with the id 0123456789abcdef, and does not; check tracking.optuna_url",
        {KDD: SETTINGS, "runs/optuna.db": make_other_ledger},
    ),
    Mistake(
        "champion",
        "the following arguments are required: sweep; --help shows examples",
    ),
    Mistake(
        "champion gone",
        "no sweep in {here}/runs/gone; sweeps in {here}/runs: none",
    ),
    Mistake(
        "champion kdd --seeds 0",
        "--seeds must be at least 1, got 0; try 8",
    ),
    Mistake(
        "champion kdd --seeds three",
        "argument --seeds: invalid int value: 'three'; --help shows examples",
    ),
    Mistake(
        "unstick lr=3",
        "the first word must be the run to branch, such as NAME/7, got 'lr=3'; settings come after the run",
    ),
    Mistake(
        "unstick",
        "the following arguments are required: RUN, SETTING=VALUE; --help shows examples",
    ),
    Mistake(
        "diagnose",
        "the following arguments are required: RUN; --help shows examples",
    ),
    Mistake(
        "diagnose gone.csv",
        (
            "a run must be a file or folder, a trial such as NAME/7, or an MLflow run id, got 'gone.csv'; sweeps in "
            "runs: none"
        ),
    ),
    Mistake(
        "diagnose gone/7",
        (
            "MLflow's records must exist, got {here}/runs/mlflow.db; name the folder of the sweeps with --folder, or "
            "--mlflow-url"
        ),
    ),
    Mistake(
        "diagnose empty.csv",
        "empty.csv must be a CSV with a header: No columns to parse from file",
        {"empty.csv": ""},
    ),
    Mistake(
        "diagnose logs",
        (
            "logs must be or hold a table (.csv), event files, result.json, monitor files or printed text with a "
            "run's metrics, and there is none"
        ),
        {"logs": Path.mkdir},
    ),
    Mistake(
        "diagnose a.csv",
        (
            "a.csv must hold metrics under known names, got colour, name; say what they are in a mapping file: "
            "--names FILE"
        ),
        {"a.csv": "name,colour\nx,red\ny,blue\n"},
    ),
    Mistake(
        "diagnose a.csv",
        "a.csv must hold at least one number under a known name, and recorded none",
        {"a.csv": "iteration,value_loss\n"},
    ),
    Mistake(
        "diagnose a.csv",
        "a.csv must be a CSV in UTF-8, and holds other bytes",
        {"a.csv": bytes(range(256))},
    ),
    Mistake(
        "diagnose a.db",
        "MLflow's records must be a database that MLflow made, got {here}/a.db, which is none",
        {"a.db": make_database},
    ),
    Mistake(
        "diagnose a.zip",
        "a.zip must be an archive that can be unpacked: File is not a zip file; copy it anew, or name the log itself",
        {"a.zip": b"PK\x03\x04"},
    ),
    Mistake(
        "diagnose a.npz",
        "a.npz must be arrays by name, as numpy.savez writes them: File is not a zip file; write the run as a CSV",
        {"a.npz": b"PK\x03\x04"},
    ),
    Mistake(
        "diagnose events.out.tfevents.1",
        "events.out.tfevents.1 must be an event file of TensorBoard's, and does not read as one",
        {"events.out.tfevents.1": b"\x01\x02"},
    ),
    Mistake(
        "diagnose a.csv --set gamma",
        "--set must be SETTING=VALUE, such as ppo.gamma=0.99, got 'gamma'",
        {"a.csv": CURVE},
    ),
    Mistake(
        "diagnose a.csv --set ppo.gama=0.9",
        "--set: no setting that a diagnosis reads is called 'ppo.gama'; did you mean ppo.gamma?",
        {"a.csv": CURVE},
    ),
    Mistake(
        "diagnose a.csv --set gamma=0.9",
        "--set: no setting that a diagnosis reads is called 'gamma'; did you mean ppo.gamma?",
        {"a.csv": CURVE},
    ),
    Mistake(
        "diagnose a.csv --set train.vf_coef=1",
        "--set: no setting that a diagnosis reads is called 'train.vf_coef'; did you mean ppo.value_coef?",
        {"a.csv": CURVE},
    ),
    Mistake(
        "diagnose mygrid.py",
        "mygrid.py must be a log, and is a program; name the file or folder that the program writes",
        {"mygrid.py": "import numpy, gymnasium\nlow, high = 1, 2\n"},
    ),
    Mistake(
        "diagnose a.csv --set ppo.gamma=high",
        "--set: ppo.gamma must be a number from 0 to 1, got 'high'",
        {"a.csv": CURVE},
    ),
    Mistake(
        "diagnose a.csv --names gone.yaml",
        "--names must be a file that can be read, got gone.yaml: No such file or directory",
        {"a.csv": CURVE},
    ),
    Mistake(
        "diagnose a.csv --names n.yaml",
        "--names: n.yaml must be YAML: while parsing a flow sequence",
        {"a.csv": CURVE, "n.yaml": "x: [1"},
    ),
    Mistake(
        "diagnose a.csv --mlflow-url sqlite:///x.db",
        "MLflow's records must exist, got x.db; name the folder of the sweeps with --folder, or --mlflow-url",
        {"a.csv": CURVE},
    ),
    Mistake(
        "diagnose abc123 --mlflow-url ftp://x",
        (
            "--mlflow-url must be sqlite:///FILE, a database such as postgresql://HOST/NAME, or a server such as "
            "http://HOST:5000, got 'ftp://x'"
        ),
    ),
    Mistake(
        "diagnose abc123 --mlflow-url http://127.0.0.1:1",
        (
            "a run must be a file or folder, a trial such as NAME/7, or an MLflow run id, got 'abc123'; sweeps in "
            "runs: none"
        ),
    ),
    Mistake(
        "diagnose abc123 --mlflow-url sqlite:///gone.db",
        "MLflow's records must exist, got gone.db; name the folder of the sweeps with --folder, or --mlflow-url",
    ),
    Mistake(
        "compare a.csv",
        "compare takes two runs or more, got 1; `diagnose` looks at one",
        {"a.csv": CURVE},
    ),
    Mistake(
        "compare a.csv gone.csv",
        (
            "a run must be a file or folder, a trial such as NAME/7, or an MLflow run id, got 'gone.csv'; sweeps in "
            "runs: none"
        ),
        {"a.csv": CURVE},
    ),
    Mistake(
        "report gone",
        (
            "a run must be a file or folder, a trial such as NAME/7, or an MLflow run id, got 'gone'; sweeps in "
            "runs: none"
        ),
    ),
    Mistake(
        "report a.csv --optuna-url sqlite:///x.db",
        "--optuna-url must go with the report of a sweep, not of a run, got a.csv; leave it out",
        {"a.csv": CURVE},
    ),
    Mistake(
        "report a.csv --out a.csv",
        "the report's folder must be one that can be written to, got a.csv: File exists",
        {"a.csv": CURVE},
    ),
    Mistake(
        "sweep --multirun",
        "--multirun is not for sweeps; one call is one sweep, and `space` says what it searches",
    ),
    Mistake(
        "sweep --learning-rate=3e-4",
        "unknown option --learning-rate; write ppo.lr=3e-4",
    ),
    Mistake(
        "sweep --config-path gone",
        "--config-path must name a folder that holds config.yaml, and there is none",
    ),
    Mistake(
        "sweep tracking=[mlflow,tensorbord]",
        (
            "tracking takes mlflow, none, tensorboard, wandb, or a list of them, got tensorbord; did you mean "
            "tensorboard?"
        ),
    ),
    Mistake(
        "sweep tracking=tensorbord",
        (
            "tracking has no option tensorbord; did you mean tracking=tensorboard? There are: mlflow, none, "
            "tensorboard, wandb; in a file, "
        ),
    ),
    Mistake(
        "sweep +experiment=nope",
        "experiment has no option nope; there are: cartpole, horizon, owner_options, ",
    ),
    Mistake(
        "sweep --help nonsense",
        "unknown setting nonsense; --help lists settings",
    ),
    Mistake(
        "sweep tracking=mlflow,wandb",
        "tracking takes a list, got mlflow,wandb; write tracking=[mlflow,wandb]",
    ),
    Mistake(
        "sweep sampler=tpe sampler=random",
        "sampler takes one option, got tpe and random; leave one out",
    ),
]

DATA = {  # name: bytes of the file, further settings, message
    "missing": (
        None,
        {},
        "data.path must name a file that exists, got {here}/flows.csv; its folder holds no file; correct data.path",
    ),
    "folder": (Path.mkdir, {}, "data.path must name a file, got the folder {here}/flows.csv; it holds no file"),
    "empty": (b"", {}, "data.path must name a file with rows, got an empty one: {here}/flows.csv; name another file"),
    "header alone": (
        b"id,rate,Label\n",
        {},
        "data.path must name a file with rows below its header, got none in {here}/flows.csv",
    ),
    "no label": (
        FLOWS.encode(),
        {"label": "Class"},
        "data.label must name a column of {here}/flows.csv, got 'Class'; there are 'id', 'rate', 'Label'",
    ),
    "no benign": (
        FLOWS.encode(),
        {"benign": ("normal",)},
        "data.benign must list labels that occur in column 'Label', got 'normal'; there are 'BENIGN', 'DDoS'",
    ),
    "one class": (
        FLOWS.replace("DDoS", "BENIGN").encode(),
        {},
        (
            "flows must be of two classes, got benign alone: every label of {here}/flows.csv (BENIGN) is in "
            "data.benign; remove those that are threats"
        ),
    ),
    "utf-16": (
        FLOWS.encode("utf-16"),
        {},
        "data.path must name a text file, got {here}/flows.csv which holds zero bytes; save it as UTF-8 text",
    ),
    "binary": (
        bytes(range(256)) * 9,
        {},
        "data.path must name a text file, got {here}/flows.csv which holds zero bytes; save it as UTF-8 text",
    ),
    "no numbers": (
        b"id,rate,Label\n" + b"1,nan,BENIGN\n2,nan,DDoS\n" * 200,
        {},
        (
            "each part must hold 10 flows, 1 threat and 1 benign flow at least, got 0 threats and 0 benign flows in "
            "validation; use data.order=shuffled if the file is sorted or its threats come in few bursts, or more "
            "different flows if most are equal; columns that nearly give the label away, each by itself: id; if they "
            "are not known when a flow is to be judged, set 'data.drop=[id]'"
        ),
    ),
    "few": (
        FLOWS[:200].encode(),
        {},
        (
            "at least 100 flows, with a threat and a benign one in each part, must be kept, got 5 flows (4 benign, 1 "
            "threats): validation and test would hold 1 flows, 0 of them threats, each; use a larger file or another "
            "data.threat_share"
        ),
    ),
    "uneven": (
        FLOWS.encode() + b"1,2,3,4,5\n",
        {},
        (
            "every row must have as many cells as the first, 3, got 5 in row 302 of {here}/flows.csv; correct or "
            "remove that row"
        ),
    ),
    "drop gone": (
        FLOWS.encode(),
        {"drop": ("colour",)},
        "data.drop must name a column of {here}/flows.csv, got 'colour'; there are 'id', 'rate', 'Label'",
    ),
    "label dropped": (
        FLOWS.encode(),
        {"drop": ("Label",)},
        "data.drop must not name the label column, got 'Label'; remove it from data.drop",
    ),
    "not gzip": (
        FLOWS.encode(),
        {"path": "flows.csv.gz"},
        "a .gz file must be gzipped, got {here}/flows.csv.gz which is not; rename it or compress it",
    ),
    "two columns of one name": (
        b"rate,rate,Label\n" + b"1,2,BENIGN\n2,1,DDoS\n" * 200,
        {},
        (
            "each part must hold 10 flows, 1 threat and 1 benign flow at least, got 0 threats and 0 benign flows in "
            "validation; use data.order=shuffled if the file is sorted or its threats come in few bursts, or more "
            "different flows if most are equal; columns that nearly give the label away, each by itself: rate, "
            "rate.1; if they are not known when a flow is to be judged, set 'data.drop=[rate,rate.1]'"
        ),
    ),
}

ENVIRONMENTS = {  # env.id: message
    "Line-x7": (
        "env.id must be a registered Gymnasium id, got 'Line-x7'; one of your own is MODULE:ID, such as "
        "my_envs:Name-v0 for my_envs.py"
    ),
    "gone:Gone-v0": (
        "env.id must name an environment that can be made, got 'gone:Gone-v0': No module named 'gone'; stand in the "
        "folder that holds gone.py, or install the package"
    ),
    "CartPole-v99": (
        "env.id must be a registered Gymnasium id, got 'CartPole-v99'; the nearest is CartPole-v1; one of your own is "
        "MODULE:ID, such as my_envs:Name-v0 for my_envs.py"
    ),
    "LunarLander-v3": (
        "env.id must name an environment that can be made, got 'LunarLander-v3': Box2D is not installed; pip install "
        "'unstuck[box2d]'"
    ),
    "hostile:Image-v0": (
        "env.id must not have images to observe, hostile:Image-v0 has Box(0, 255, (8, 8, 3), uint8): policies here "
        "have no convolutions; choose an environment whose state is numbers"
    ),
    "hostile:Dict-v0": (
        "env.id must name an environment that runs, got 'hostile:Dict-v0', whose reset raises IndexError: only "
        "integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays are valid "
        "indices; mend the environment"
    ),
    "hostile:Text-v0": (
        "env.id must have observations of a fixed size, hostile:Text-v0 has Text(1, 5, "
        "charset=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz); wrap it so that they are one row "
        "of numbers"
    ),
    "hostile:BadReset-v0": (
        "env.id must name an environment that runs, got 'hostile:BadReset-v0', whose reset raises RuntimeError: no "
        "licence; mend the environment"
    ),
    "hostile:BadStep-v0": (
        "env.id must name an environment that runs, got 'hostile:BadStep-v0', whose step raises RuntimeError: motor "
        "is off; mend the environment"
    ),
    "hostile:Nan-v0": (
        "env.id must name an environment whose observations are finite, got 'hostile:Nan-v0', whose reset gives "
        "[[nan, nan]]; mend the environment"
    ),
    "hostile:WrongShape-v0": (
        "env.id must name an environment that runs, got 'hostile:WrongShape-v0', whose reset raises ValueError: "
        "Output array is the wrong shape; mend the environment"
    ),
    "hostile:NoInit-v0": (
        "env.id must name an environment that can be made, got 'hostile:NoInit-v0', which raises OSError: no such "
        "device; mend the environment"
    ),
    "hostile:Tuple-v0": (
        "env.id must have Discrete, MultiDiscrete, MultiBinary or real-valued Box actions, hostile:Tuple-v0 has "
        "Tuple(Discrete(2), Discrete(2)); wrap it so that it takes one of these"
    ),
    "hostile:Complex-v0": (
        "env.id must have Discrete, MultiDiscrete, MultiBinary or real-valued Box actions, hostile:Complex-v0 has "
        "Dict('a': Discrete(2)); wrap it so that it takes one of these"
    ),
    "syntax:X-v0": (
        "env.id must name an environment that can be made, got 'syntax:X-v0', which raises SyntaxError: invalid "
        "syntax (syntax.py, line 1); mend the environment"
    ),
}
HOSTILE = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Text
class Base(gymnasium.Env):
    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}
    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}
class Image(Base):
    observation_space = Box(0, 255, (8, 8, 3), np.uint8)
    def reset(self, *, seed=None, options=None):
        return np.zeros((8, 8, 3), np.uint8), {}
class DictObs(Base):
    observation_space = Dict({"a": Box(0, 1, (1,))})
class TextObs(Base):
    observation_space = Text(5)
class BadReset(Base):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError("no licence")
class BadStep(Base):
    def step(self, action):
        raise RuntimeError("motor is off")
class Nan(Base):
    def reset(self, *, seed=None, options=None):
        return np.full(2, np.nan, np.float32), {}
class WrongShape(Base):
    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32), {}
class NoInit(Base):
    def __init__(self):
        raise OSError("no such device")
class TupleActs(Base):
    action_space = gymnasium.spaces.Tuple((Discrete(2), Discrete(2)))
class ComplexActs(Base):
    action_space = Dict({"a": Discrete(2)})
for name, kind in dict(Image=Image, Dict=DictObs, Text=TextObs, BadReset=BadReset, BadStep=BadStep, Nan=Nan,
                       WrongShape=WrongShape, NoInit=NoInit, Tuple=TupleActs, Complex=ComplexActs).items():
    gymnasium.register(f"{name}-v0", kind)
"""
CHECKPOINTS: dict[str, tuple[Any, str]] = {  # name: what stands in the file's place, message
    "missing": (None, "{file} must be a checkpoint, got no file to read (No such file or directory); check the path"),
    "folder": (Path.mkdir, "{file} must be a checkpoint, got no file to read (Is a directory); check the path"),
    "empty": (b"", "{file} must be a checkpoint, got a file of another kind; give one that save() wrote"),
    "text": (b"hello", "{file} must be a checkpoint, got a file of another kind; give one that save() wrote"),
    "cut off": (
        b"PK\x03\x04rest",
        "{file} must be a whole checkpoint of numbers, got one cut short, damaged or forged (File is not a zip file); "
        "go on from an earlier one, or from the start",
    ),
    "other arrays": (
        lambda path: np.savez(path, a=np.zeros(3)),
        "{file} must be a checkpoint, got a file of another kind; give one that save() wrote",
    ),
    "a pickle": (
        lambda path: np.savez(path, a=np.array([object()], dtype=object)),
        "{file} must be a whole checkpoint of numbers, got one cut short, damaged or forged (Object arrays cannot be",
    ),
}

HEAD = b"# @package _global_\n"
EXPERIMENTS: dict[str, tuple[bytes, str]] = {  # name: the user's mine/experiment/a.yaml, message
    "another library's name": (
        HEAD + b"ppo: {learning_rate: 1e-3}\n",
        "experiment/a.yaml: unknown setting ppo.learning_rate; did you mean ppo.lr?",
    ),
    "another library's name in the space": (
        HEAD + b"space: {ppo: {ent_coef: {log: [1e-3, 1]}}}\n",
        "unknown setting ppo.ent_coef in space; did you mean ppo.entropy_coef?",
    ),
    "another library's name in a point": (
        HEAD + b"sampler: {points: [{ppo: {n_steps: 1}}]}\n",
        "unknown setting ppo.n_steps in sampler.points[0]; did you mean ppo.num_steps?",
    ),
    "indented unlike": (
        HEAD + b"ppo:\n  lr: 1\n gamma: 1\n",
        "{here}/mine/experiment/a.yaml must be YAML, and line 4 is indented unlike the lines above; indent all ",
    ),
    "a tab": (
        HEAD + b"\tppo: 3\n",
        "{here}/mine/experiment/a.yaml must be YAML, and line 2 begins with a tab; indent by spaces",
    ),
    "a list": (HEAD + b"ppo: [1, 2]\n", "experiment/a.yaml: ppo takes settings, got [1, 2]; an option is chosen by"),
    "no head": (
        b"ppo: {lr: 1e-3}\n",
        "experiment/a.yaml must have '# @package _global_' as its first line, and settings",
    ),
    "other bytes": (
        HEAD + b"# \xff\n",
        "an experiment's file must be UTF-8 text, got the byte 0xff at position 22; save the file as UTF-8",
    ),
    "trackers as options": (
        HEAD + b"defaults: [{override /tracking: [mlflow, tensorboard]}]\n",
        "tracking has no option tensorboard; --help lists what there is; in a file, TensorBoard and W&B are chosen by "
        "tracking: {also: [tensorboard, wandb]}",
    ),
}

NAMES_OF_OTHERS = {  # our setting: names in SB3, CleanRL, RLlib, Tianshou, PufferLib, RL Zoo and others
    "ppo.lr": "learning_rate",
    "ppo.lr_schedule": "anneal_lr",
    "ppo.gamma": "discount discount_factor",
    "ppo.gae_lambda": "lam lambda lambda_ lmbda",
    "ppo.clip_range": "clip_coef clip_param eps_clip clip_epsilon",
    "ppo.clip_range_vf": "clip_vloss vf_clip_param vf_clip_coef value_clip",
    "ppo.entropy_coef": "ent_coef entropy_coeff",
    "ppo.value_coef": "vf_coef vf_loss_coeff value_loss_coef critic_coef",
    "ppo.num_steps": "n_steps bptt_horizon step_per_collect rollout_fragment_length horizon_length",
    "ppo.num_envs": "n_envs num_env_runners training_num",
    "ppo.minibatch_size": "batch_size sgd_minibatch_size num_minibatches mini_batch_size",
    "ppo.num_epochs": "n_epochs update_epochs num_sgd_iter repeat_per_collect noptepochs",
    "ppo.num_iterations": "total_timesteps n_timesteps max_epoch",
    "ppo.hidden_sizes": "net_arch policy_kwargs fcnet_hiddens",
    "ppo.normalize_observations": "normalize norm_obs normalize_input",
    "ppo.normalize_returns": "norm_reward reward_normalization",
    "ppo.normalize_advantage": "norm_adv",
    "ppo.target_kl": "kl_target desired_kl kl_threshold",
}
