"""Read what a program printed: tables in boxes, blocks of `key: value`, lines of pairs, tables in Markdown.

A text is cut into rows: each box is one, each line of ML-Agents' summary, each line of a Markdown table. Of other
prints a row ends where a name comes for the second time.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from unstuck.analysis.history.dialects.dialect import make_canonical
from unstuck.analysis.history.dialects.plain import PLAIN, find_plain_name
from unstuck.analysis.history.raw import Raw, collect_columns

Row = dict[str, float]

_NUMBER = r"[-+]?(?:\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_BOX = re.compile(r"\|\s(?P<indent>\s*)(?P<name>[^|]*?)\s*\|\s*(?P<value>[^|]*?)\s*\|\s*$")
_RULE = re.compile(r"-{8,}\s*$")
_MARKDOWN_RULE = re.compile(r"^\s*\|?(?:\s*:?-{2,}:?\s*[|+])+\s*(?::?-{2,}:?)?\s*\|?\s*$")
_ML_AGENTS = re.compile(
    rf"Step: (?P<step>\d+)\..*?Mean Reward: (?P<mean>{_NUMBER})\. Std of Reward: (?P<std>{_NUMBER})", re.IGNORECASE
)
_STARTER = re.compile(
    rf"U (?P<update>\d+) \| F (?P<frames>\d+) .*?rR:\S+ +(?P<rreturn_mean>{_NUMBER}).*?\| F:\S+ +(?P<num_frames_mean>"
    rf"{_NUMBER}).*?\| H (?P<entropy>{_NUMBER}).*?\| pL +(?P<policy_loss>{_NUMBER}) \| vL +(?P<value_loss>{_NUMBER})"
)
_KOSTRIKOV = re.compile(
    rf"Updates (?P<update>\d+), num timesteps (?P<total_timesteps>\d+)[\s\S]*?mean/median reward (?P<mean_reward>"
    rf"{_NUMBER})/",
    re.IGNORECASE,
)
_ITERATION = re.compile(r"Learning iteration\s+(?P<done>\d+)\s*/\s*(?P<planned>\d+)", re.IGNORECASE)
_PAIR = re.compile(
    rf"(?P<name>[^\W\d_][^:=|;]*?)['\"]?\s*[:=]\s*\[?(?P<value>{_NUMBER})(?P<unit>\s?%|x|)(?![\w.:/]*[A-Za-z_(\[]|:?\d)"
)
_COUNTED = re.compile(
    r"^(?P<name>episode|epoch|update|iteration|iter|step|timesteps?|batch)s?\s*[#:=]?\s*(?P<value>\d[\d,]*)"
    r"(?:\s*(?:/|of)\s*(?P<planned>\d[\d,]*))?(?![\d.])",
    re.IGNORECASE,
)
_BARE = re.compile(rf"^(?P<name>[A-Za-z][\w ./()-]*?)\s+(?P<value>{_NUMBER})\s*%?$")
_EVALUATED = re.compile(rf"Eval num_timesteps=(?P<steps>\d+), episode_reward=(?P<mean>{_NUMBER})")
_PREFIX = re.compile(r"^\s*(?:\[[^\]]*\]\s*|\d{4}-\d\d-\d\d[T ][\d:.,]+\s*|(?:INFO|DEBUG|WARNING)\b[:\s-]*)+")
_SEPARATORS = re.compile(r"\s*[|;,\t]\s*(?=\S)|\s+-+\s+|(?<![:=\s])\s{2,}")
_RESULT = re.compile(r"^\s*Result for .+:\s*$")
_INDENTED = re.compile(r"^(?P<indent>\s*)(?P<name>[\w./-]+):\s*(?P<value>.*?)\s*$")
_MARKS = " -*#>\t'\"{["
_NAME_WORDS = 4  # words of a name; of a longer text before a number only the end can be one


def is_console(text: str) -> bool:
    """True if a text holds at least one pair of name and number in a form that programs print."""
    return any(row for row in _split_rows(text))


def read_console(file: Path | None, text: str) -> Raw:
    """Read the metrics in a program's printed output, one row for each printed block or line."""
    rows = [row for row in _split_rows(text) if row]
    settings = {"max_iterations": planned} if (planned := _find_plan(text)) else {}
    return Raw(file, collect_columns(rows), form="console text", settings=settings)


def _find_plan(text: str) -> int | None:
    found = list(_ITERATION.finditer(text))
    return int(found[-1]["planned"]) if found else None


def _split_rows(text: str) -> Iterator[Row]:
    lines = _ANSI.sub("", text).splitlines()
    if any(_MARKDOWN_RULE.match(line) for line in lines):
        return _read_markdown(lines)
    if any(_ML_AGENTS.search(line) for line in lines):
        return (
            {
                "Step": parse_number(m["step"]),
                "Mean Reward": parse_number(m["mean"]),
                "Std of Reward": parse_number(m["std"]),
            }
            for m in _match_lines(_ML_AGENTS, lines)
        )
    if any(_STARTER.search(line) for line in lines):
        return (
            {name: parse_number(value) for name, value in found.groupdict().items()}
            for found in _match_lines(_STARTER, lines)
        )
    if found := list(_KOSTRIKOV.finditer("\n".join(lines))):
        return ({name: parse_number(value) for name, value in m.groupdict().items()} for m in found)
    if any(_RESULT.match(line) for line in lines):
        return _read_tune_results(lines)
    if any(_BOX.search(line) and _is_box(line) for line in lines):
        return _read_boxes(lines)
    return _read_prints(lines)


def _match_lines(pattern: re.Pattern[str], lines: list[str]) -> Iterator[re.Match[str]]:
    return (found for line in lines if (found := pattern.search(line)))


def parse_number(text: str) -> float:
    """Return the number in a text such as `1,024` or `72.8x`; `25.0%` gives 0.25, a text without a number NaN."""
    plain = text.strip().replace(",", "")
    try:
        return float(plain.rstrip("x%")) * (0.01 if plain.endswith("%") else 1.0)
    except ValueError:
        return float("nan")


def _is_box(line: str) -> bool:
    found = _BOX.search(line)
    return found is not None and (found["value"] == "" or parse_number(found["value"]) == parse_number(found["value"]))


def _read_boxes(lines: list[str]) -> Iterator[Row]:
    """Read the tables that Stable-Baselines prints; names indented below a group (`train/`) belong to the group."""
    row: Row = {}
    group = ""
    for line in lines:
        found = _BOX.search(line)
        if found is None:
            if _RULE.search(line) and row:
                yield row
                row, group = {}, ""
            continue
        name, value = found["name"].strip(), found["value"]
        if name.endswith("/") and not value:
            group = name
            continue
        key = group + name if found["indent"] else name
        number = parse_number(value)
        if key in row:
            yield row
            row = {}
        if number == number or value.lower() == "nan":
            row[key] = number
    yield row


def _read_markdown(lines: list[str]) -> Iterator[Row]:
    header: list[str] = []
    for above, line in zip(["", *lines], lines, strict=False):
        if _MARKDOWN_RULE.match(line):
            header = _split_cells(above)
        elif header and line.count("|") >= len(header) - 1 and line.strip():
            yield {
                name: number
                for name, cell in zip(header, _split_cells(line), strict=False)
                if (number := parse_number(cell)) == number
            }


def _split_cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _read_tune_results(lines: list[str]) -> Iterator[Row]:
    """Read the results that Ray Tune prints, with names nested by indentation."""
    row: Row = {}
    above: list[tuple[int, str]] = []
    for line in lines:
        if _RESULT.match(line):
            yield row
            row, above = {}, []
            continue
        found = _INDENTED.match(line)
        if not found:
            continue
        depth = len(found["indent"])
        above = [(indent, name) for indent, name in above if indent < depth]
        if found["value"] == "":
            above.append((depth, found["name"]))
        elif (number := parse_number(found["value"])) == number:
            row["/".join([*(name for _, name in above), found["name"]])] = number
    yield row


def _read_prints(lines: list[str]) -> Iterator[Row]:
    row: Row = {}
    for line in lines:
        for name, value in _find_pairs(_PREFIX.sub("", line)):
            if name in row:
                yield row
                row = {}
            row[name] = value
    yield row


def _find_pairs(line: str) -> Iterator[tuple[str, float]]:
    """Yield each pair of name and number in a printed line such as `KL: 0.1, loss = 2` or `Episode 20/300`."""
    if found := _ITERATION.search(line):
        yield "Learning iteration", parse_number(found["done"])
        return
    if found := _EVALUATED.search(line):  # Stable-Baselines3's EvalCallback
        yield "num_timesteps", parse_number(found["steps"])
        yield "eval/mean_reward", parse_number(found["mean"])
        return
    for segment in _SEPARATORS.split(line.strip(" \t|")):
        counted = _COUNTED.match(segment)
        if counted:
            yield counted["name"].lower(), parse_number(counted["value"])
            segment = segment[counted.end() :]
        pairs = list(_PAIR.finditer(segment))
        for found in pairs:
            name = _find_name(found["name"])
            if name:
                yield name, parse_number(found["value"] + found["unit"].strip())
        bare = None if pairs else _BARE.match(segment)
        if bare and find_plain_name(bare["name"]):
            yield bare["name"], parse_number(bare["value"])


def _find_name(text: str) -> str:
    """Return the metric's name in the text before a printed number: the longest known ending, or a short text."""
    words = text.strip(_MARKS).split()
    ends = (" ".join(words[start:]) for start in range(max(len(words) - _NAME_WORDS, 0), len(words)))
    counters = {make_canonical(name) for name in (*PLAIN.iteration, *PLAIN.env_steps)}
    known = next((end for end in ends if find_plain_name(end) or make_canonical(end) in counters), "")
    whole = " ".join(words)
    return known if len(words) > _NAME_WORDS or (known and words[0].islower() and len(words) > 2) else whole
