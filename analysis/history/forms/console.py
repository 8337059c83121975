"""Read what a program printed: tables in boxes, blocks of `key: value`, lines of pairs, tables in Markdown.

A text is cut into rows: each box is one, each line of ML-Agents' summary, each line of a Markdown table. Of other
prints a row ends where a name comes for the second time, and where a counter heads a block or a line. A block at the
top or bottom that the text cut off its counter belongs to no known iteration, and is left out.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from unstuck.analysis.history.dialects.dialect import make_canonical
from unstuck.analysis.history.dialects.plain import PLAIN, find_plain_name
from unstuck.analysis.history.forms.printed import find_test
from unstuck.analysis.history.raw import Raw, collect_columns
from unstuck.analysis.history.record import CLIP_RANGE, ENTROPY_COEF
from unstuck.rl import metrics

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
_SAMPLE_FACTORY = re.compile(
    r"Total num frames: (?P<total_timesteps>\d+)\.(?:(?!Total num frames)[\s\S])*?Avg episode reward: \[\(\d+, '"
    rf"(?P<mean_reward>{_NUMBER})'\)",
)
_ITERATION = re.compile(r"Learning iteration\s+(?P<done>\d+)\s*/\s*(?P<planned>\d+)", re.IGNORECASE)
_PAIR = re.compile(
    rf"(?P<name>[^\W\d_][^:=|;]*?)['\"]?\s*[:=]\s*\[?(?P<value>{_NUMBER})(?P<unit>\s?%|x|)(?![\w.:/]*[A-Za-z_(\[]|:?\d)"
)
_COUNTED = re.compile(
    r"^(?P<name>episode|epoch|update|iteration|iter|step|timesteps?|batch|frame)s?\s*[#:=]?\s*(?P<value>\d[\d,]*)"
    r"(?:\s*(?:/|of)\s*(?P<planned>\d[\d,]*))?(?!\d|\.\d)",
    re.IGNORECASE,
)
_BARE = re.compile(rf"^(?P<name>[A-Za-z][\w ./()-]*?)\s+(?P<value>{_NUMBER})\s*%?$")
_EVALUATED = re.compile(rf"Eval num_timesteps=(?P<steps>\d+), episode_reward=(?P<mean>{_NUMBER})")
_PREFIX = re.compile(r"^\s*(?:\[[^\]]*\]\s*|\d{4}-\d\d-\d\d[T ][\d:.,]+\s*|(?:INFO|DEBUG|WARNING)\b[:\s-]*)+")
_SEPARATORS = re.compile(r"\s*[|;,\t]\s*(?=\S)|\s+-+\s+|(?<![:=\s])\s{2,}")
_THOUSANDS = re.compile(r"(?<!\d:)(?<![\d.,(\[])[1-9]\d{0,2}(?:,\d{3})+(?!\d|,\d)")
"""Number whose thousands are parted by commas; milliseconds behind a time are none, nor is the top of a list."""

_REWARD_STD = re.compile(r"\b(?:rewards?|returns?|scores?):\s*mean\b[^|;]*?\bstd(?=\s*[:=])", re.IGNORECASE)
"""Rewards' mean and spread, of which the spread alone would have the name of the policy's: `Rewards: mean=1, std=2`."""

_PADDED = (
    (re.compile(r"(?<=[^\W\d_])\s{2,}(?=[:=])"), ""),  # `Reward    : 3`
    (re.compile(r"(?<=[:=])\s{2,}(?=\S)"), " "),  # `Reward:\t3`
    (re.compile(r"(?<=[^\W\d_])(?:\s*\t\s*|\s{2,})(?=[-+]?\.?\d)"), " "),  # `Iteration   1`
    (re.compile(r"(?<=\d)\s*/\s+(?=\d)"), "/"),  # ` 1/  20`
)
"""What programs fill up with blanks so that numbers stand in columns, and what is read in its place."""

_RESULT = re.compile(r"^\s*Result for .+:\s*$")
_TRAINED = re.compile(r"^\s*training_iteration:\s*\d+\s*$")
_OF_TUNE = re.compile(r"^\s*(?:timesteps_total|time_total_s|time_this_iter_s|episodes_total):\s*[\d.]+\s*$")
_HEADING = re.compile(r"^\s*#{1,6}\s*(?P<group>[A-Za-z]\w*)\s*[:/]?\s*$")
_INDENTED = re.compile(r"^(?P<indent>\s*)(?P<name>[\w./-]+):\s*(?P<value>.*?)\s*$")
_MARKS = " -*#>\t'\"{["
_LONGEST = 10_000
"""Characters from which on a line is no log's: arrays, files of other kinds, which patterns would search for hours."""

_SAMPLED = 2_000
"""Lines from the top and from the bottom that tell in which form a text is printed."""

_NAME_WORDS = 4  # words of a name; of a longer text before a number only the end can be one


def is_console(text: str) -> bool:
    """True if a text has at least one pair of name and number in a form that programs print."""
    return any(row for row in _split_rows(text))


def read_console(file: Path | None, text: str) -> Raw:
    """Read the metrics in a program's printed output, one row for each printed block or line."""
    lines = text.splitlines()
    test = find_test(lines)
    rows = [row for row in _split_rows(text if test is None else "\n".join(lines[:test])) if row]
    settings = {"max_iterations": planned} if (planned := _find_plan(text)) else {}
    rows, remarks = _drop_cut_blocks(rows)
    if test is not None:
        remarks = (*remarks, f"a test behind the training is left out, from line {test + 1} on")
    columns = collect_columns(rows)
    return Raw(file, columns, form="console text", is_printed=True, settings=settings, remarks=remarks)


def _drop_cut_blocks(rows: Sequence[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """Remove the first and the last printed block if the text was cut within them; return the rest, and remarks.

    Returns:
        The rows kept, and remarks on the blocks removed.
    """
    kept, remarks = list(rows), []
    for end, place in ((0, "first"), (-1, "last")):
        others = kept[1:] if end == 0 else kept[:-1]
        whole = others[:-1] if end == 0 and len(others) > 2 else others  # the last one may be cut as well
        counters = {name for name in _find_counters(whole) if all(name in row for row in whole)}
        cut = kept[end] if others else {}
        shared = [name for name in cut if _is_measured(name) and any(name in row for row in others)]
        if counters and shared and not counters & cut.keys():
            kept = others
            remarks.append(f"the {place} block has no count of its own, as in a text that was cut there: left out")
    return kept, tuple(remarks)


def _is_measured(name: str) -> bool:
    """True if a printed name is a metric's, and not that of a setting printed above the metrics."""
    found = find_plain_name(name)
    return found is not None and found[0][0] not in (metrics.LR, CLIP_RANGE, ENTROPY_COEF)


def _find_counters(rows: Sequence[Row]) -> set[str]:
    known = {make_canonical(name) for name in (*PLAIN.iteration, *PLAIN.env_steps)}
    return {name for row in rows[:1] for name in row if make_canonical(name).rpartition("/")[2] in known}


def has_counter(line: str) -> bool:
    """True if a printed line counts iterations or steps."""
    return bool(_find_counters([dict(_find_pairs(_PREFIX.sub("", line)))]))


def _find_plan(text: str) -> int | None:
    found = list(_ITERATION.finditer(text))
    return int(found[-1]["planned"]) if found else None


def _split_rows(text: str) -> Iterator[Row]:
    lines = [line for line in _ANSI.sub("", text).splitlines() if len(line) < _LONGEST]
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
    for pattern in (_KOSTRIKOV, _SAMPLE_FACTORY):
        if found := list(pattern.finditer("\n".join(lines))):
            return ({name: parse_number(value) for name, value in m.groupdict().items()} for m in found)
    if any(_RESULT.match(line) for line in lines) or all(
        any(pattern.match(line) for line in lines) for pattern in (_TRAINED, _OF_TUNE)
    ):
        return _read_tune_results(lines)
    return _read_table_or_prints(lines)


def _read_table_or_prints(lines: list[str]) -> Iterator[Row]:
    """Read rows as the form that gives most known metrics; programs print tables of other things too.

    If forms give equally many, rows are read as the first form that the lines look like.
    """
    forms: list[Callable[[list[str]], Iterator[Row]]] = [
        *([_read_markdown] if any(map(_MARKDOWN_RULE.match, lines)) else ()),
        *([_read_boxes] if any(map(_is_box, lines)) else ()),
        _read_prints,
    ]
    if len(forms) == 1:
        return forms[0](lines)
    some = lines if len(lines) <= 2 * _SAMPLED else [*lines[:_SAMPLED], *lines[-_SAMPLED:]]
    return max(forms, key=lambda read: len(_list_metrics(list(row.items()) for row in read(some))))(lines)


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
        if heading := _HEADING.match(line):
            group = f"{heading['group']}/"
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
    """Read the results that Ray Tune prints, with names nested by indentation; a blank line ends a result."""
    row: Row = {}
    above: list[tuple[int, str]] = []
    for line in lines:
        if _RESULT.match(line) or (not line.strip() and "training_iteration" in row):
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
        elif (number := parse_number(found["value"])) == number or found["value"].lower() == "nan":
            name = "/".join([*(name for _, name in above), found["name"]])
            if name in row:
                yield row
                row = {}
            row[name] = number
    yield row


def _read_prints(lines: list[str]) -> Iterator[Row]:
    plain = [_PREFIX.sub("", line) for line in lines]
    found = [list(_find_pairs(line)) for line in plain]
    headings = _find_headings(plain, found)
    row: Row = {}
    for place, pairs in enumerate(found):
        opens = place in headings
        for name, value in pairs:
            if name in row or opens:
                yield row
                row, opens = {}, False
            row[name] = value
    yield row


def _find_headings(lines: Sequence[str], found: Sequence[Sequence[tuple[str, float]]]) -> set[int]:
    """Find the printed lines that begin a new row, by a counter followed by metrics; return the lines' indices.

    Args:
        lines: The printed lines.
        found: Pairs of name and number in each line.
    """
    places: dict[int, str] = {}
    parted = True  # a blank line or a rule stands above
    for place, (line, pairs) in enumerate(zip(lines, found, strict=True)):
        if pairs and (_ITERATION.search(line) or ((len(pairs) > 1 or parted) and _begins_with_counter(line))):
            places[place] = pairs[0][0]
        parted = not any(map(str.isalnum, line))
    outermost = next(iter(places.values()), "")
    headings = {place for place, name in places.items() if name == outermost}
    if not headings or _ITERATION.search(lines[min(headings)]) or _list_metrics(found[place] for place in headings):
        return headings
    above, below = _list_metrics(found[: min(headings)]), _list_metrics(found[max(headings) :])
    return set() if not below or below < above else headings  # a counter that ends its block


def _list_metrics(found: Iterable[Sequence[tuple[str, float]]]) -> set[str]:
    return {name for pairs in found for name, _ in pairs if find_plain_name(name)}


def _begins_with_counter(line: str) -> bool:
    return _COUNTED.match(_strip_padding(line).strip(_MARKS + "|")) is not None


def _strip_padding(line: str) -> str:
    """Remove from a printed line the blanks that align names and numbers."""
    for pattern, plain in _PADDED:
        line = pattern.sub(plain, line)
    return line


def _find_pairs(line: str) -> Iterator[tuple[str, float]]:
    """Yield each pair of name and number in a printed line such as `KL: 0.1, loss = 2` or `Episode 20/300`."""
    if found := _ITERATION.search(line):
        yield "Learning iteration", parse_number(found["done"])
        return
    if found := _EVALUATED.search(line):  # Stable-Baselines3's EvalCallback
        yield "num_timesteps", parse_number(found["steps"])
        yield "eval/mean_reward", parse_number(found["mean"])
        return
    line = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), _strip_padding(line))
    line = _REWARD_STD.sub(r"\g<0>_of_rewards", line)
    for segment in _SEPARATORS.split(line.strip(" \t|")):
        counted = _COUNTED.match(segment)
        if counted:
            yield counted["name"].lower(), parse_number(counted["value"])
            segment = segment[counted.end() :].lstrip(" :.")
        pairs = list(_PAIR.finditer(segment))
        for found in pairs:
            name = _find_name(found["name"])
            if name:
                yield name, parse_number(found["value"] + found["unit"].strip())
        bare = None if pairs else _BARE.match(segment)
        if bare and find_plain_name(bare["name"]):
            yield bare["name"], parse_number(bare["value"])


def _find_name(text: str) -> str:
    """Find the metric's name in the text before a printed number: the longest known name at its end, or all of it."""
    words = text.strip(_MARKS).split()
    ends = (" ".join(words[start:]) for start in range(max(len(words) - _NAME_WORDS, 0), len(words)))
    counters = {make_canonical(name) for name in (*PLAIN.iteration, *PLAIN.env_steps)}
    counted = len(words) > 1 and words[-2].isdigit()  # `after 4 episodes` says of how many
    known = next((end for end in ends if find_plain_name(end) or (make_canonical(end) in counters and not counted)), "")
    whole = " ".join(words)
    return known if len(words) > _NAME_WORDS or (known and words[0].islower() and len(words) > 2) else whole
