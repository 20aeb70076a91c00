"""Can all rejections of a key be explained together with its admissions?"""

from collections.abc import Sequence

from rateproof.prove.admissions.feasible import Exhausted
from rateproof.prove.observed import KeyLog
from rateproof.prove.rejections.joint import Explained, Log, Piece, Unexplained, explain
from rateproof.prove.rejections.overlaps import Part, cut_out, pieces

__all__ = ["find_together"]

# Effort beyond the decision itself, spent on making evidence readable.
_MINIMISE_BUDGET = 300_000


def find_together(
    key: KeyLog, judged: Sequence[int], logs: Sequence[Log], budget: int, *, denied_count: bool
) -> tuple[Part | Exhausted | None, int]:
    """Requests that no order of decisions explains, though admissions alone are explained.

    Args:
        key: its requests.
        judged: which of its rejections are judged.
        logs: the quotas; none if there is nothing to search.
        budget: see `explain`.
        denied_count: whether denied requests use up the quotas too.

    Returns:
        The part of the log, with as few rejections as it takes; None (they can be
        explained), or `Exhausted`; and what was spent of the budget.
    """
    spent = 0
    if not logs:
        return None, spent
    for part in pieces(key, judged, logs, denied_count=denied_count):
        piece = part.piece(key, denied_count=denied_count)
        answer = explain(piece, logs, budget - spent)
        spent += answer.spent
        if isinstance(answer, Unexplained):
            # Too many admissions are another claim.
            admissions = explain(Piece(piece.admissions, []), logs, budget - spent)
            spent += admissions.spent
            if isinstance(admissions, Explained):
                return _fewest(key, part, logs, denied_count=denied_count), spent
            answer = admissions
        if isinstance(answer, Exhausted):
            return answer, spent
    return None, spent


def _fewest(key: KeyLog, part: Part, logs: Sequence[Log], *, denied_count: bool) -> Part:
    """Leave out what is not needed: rejections, then admissions that no window of theirs reaches."""
    budget = _MINIMISE_BUDGET

    def smaller(rejected: Sequence[int], windows: int) -> Part:
        """The piece around these, if it is not explained either; else the same as before."""
        nonlocal budget
        if denied_count and len([*pieces(key, rejected, logs, denied_count=True)]) != 1:
            # They share denied requests only, and are no longer looked at together.
            return part
        tried = cut_out(key, rejected, logs, denied_count=denied_count, windows=windows)
        answer = explain(tried.piece(key, denied_count=denied_count), logs, budget)
        budget -= answer.spent
        return tried if isinstance(answer, Unexplained) else part

    for rejection in part.rejected:
        fewer = [other for other in part.rejected if other != rejection]
        if fewer:
            part = smaller(fewer, 1)
    return smaller(part.rejected, 0)
