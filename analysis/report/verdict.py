"""First sentence on a run: the most basic fault, and how well the run does."""

from unstuck.analysis.diagnosis.finding import Diagnosis, Kind, Ranked, Sureness
from unstuck.analysis.diagnosis.standing import State, standing_of

SURENESS = {Sureness.SURE: "sure", Sureness.LIKELY: "likely", Sureness.POSSIBLE: "possible"}


def verdict(diagnosis: Diagnosis) -> str:
    """Return one sentence on a run: stuck or learning, the most basic fault, and the score."""
    standing = standing_of(diagnosis.signals)
    faults = diagnosis.findings_of(Kind.FAULT)
    if faults:
        state = "Stuck" if standing.is_poor else "Getting worse" if standing.state is State.FALLING else "Held back"
        return f"{state}: {lower(brief(faults[0]))} ({SURENESS[faults[0].finding.sureness]}); {standing.text}."
    suspects = diagnosis.findings_of(Kind.SUSPECT)
    if standing.state is State.UNKNOWN and standing.level is None:
        return f"Nothing can be said of learning: {standing.text}."
    if suspects:
        state = "Stuck, and why is not settled" if standing.is_poor else "Learning, with a doubt"
        return f"{state}: {lower(brief(suspects[0]))}; {standing.text}."
    if standing.is_poor:
        return f"Stuck, and none of the rules that could look says why; {standing.text}."
    return f"No fault found: {standing.text}."


def brief(ranked: Ranked) -> str:
    """Return a finding's headline up to the first colon, without the numbers."""
    return ranked.finding.headline.partition(": ")[0]


def lower(text: str) -> str:
    """Return a text with the first letter in lower case; names such as F1 and KL keep capitals.

    Example:
        >>> lower("Entropy fell"), lower("KL is large"), lower("F1 is low")
        ('entropy fell', 'KL is large', 'F1 is low')
    """
    named = text[1:2].isupper() or text[1:2].isdigit()
    return text if named else text[:1].lower() + text[1:]
