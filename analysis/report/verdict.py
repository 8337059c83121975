"""First sentence on a run: the most basic fault, and how well the run does."""

from unstuck.analysis.diagnosis.finding import Diagnosis, Kind, Ranked, Sureness
from unstuck.analysis.diagnosis.standing import State, judge_standing

SURENESS = {Sureness.SURE: "sure", Sureness.LIKELY: "likely", Sureness.POSSIBLE: "possible"}


def state_verdict(diagnosis: Diagnosis) -> str:
    """Return one sentence on a run: stuck or learning, the most basic fault, and the score."""
    standing = judge_standing(diagnosis.signals)
    faults = diagnosis.select_findings(Kind.FAULT)
    if faults:
        state = "Stuck" if standing.is_poor else "Getting worse" if standing.state is State.FALLING else "Held back"
        fault, sureness = lower_first_letter(shorten_headline(faults[0])), SURENESS[faults[0].finding.sureness]
        return f"{state}: {fault} ({sureness}); {standing.text}."
    suspects = diagnosis.select_findings(Kind.SUSPECT)
    if standing.state is State.UNKNOWN and standing.level is None:
        return f"Nothing can be said of learning: {standing.text}."
    if suspects:
        state = "Stuck, and why is not settled" if standing.is_poor else "Learning, with a doubt"
        return f"{state}: {lower_first_letter(shorten_headline(suspects[0]))}; {standing.text}."
    if standing.is_poor:
        return f"Stuck, and none of the rules that could look says why; {standing.text}."
    return f"No fault found: {standing.text}."


def shorten_headline(ranked: Ranked) -> str:
    """Return a finding's headline up to the first colon, without the numbers."""
    return ranked.finding.headline.partition(": ")[0]


def lower_first_letter(text: str) -> str:
    """Return a text with the first letter in lower case; names such as F1 and KL keep capitals.

    Example:
        >>> lower_first_letter("Entropy fell"), lower_first_letter("KL is large"), lower_first_letter("F1 is low")
        ('entropy fell', 'KL is large', 'F1 is low')
    """
    named = text[1:2].isupper() or text[1:2].isdigit()
    return text if named else text[:1].lower() + text[1:]
