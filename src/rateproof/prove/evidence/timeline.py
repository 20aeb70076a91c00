"""Evidence as a drawing in text, in ASCII alone."""

from typing import TYPE_CHECKING, Final

from rateproof.prove.evidence.frame import Frame, shown
from rateproof.prove.wording import seconds, spaced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rateproof.prove.evidence.evidence import Evidence, Witness

__all__ = ["draw"]

_MOST_LINES: Final = 24
_OFFSET, _STATUS = 11, 3
_FINE_NS: Final = 20_000_000
_LEAST_WIDTH: Final = 28


def draw(evidence: "Evidence", width: int) -> str:
    """The requests and the window, a line each, times relative to the first sent.

    An interval is drawn as `[==]`, a rejected one as `[xx]`, one without an end
    as `[==>`, one narrower than a character as `|`. A window much longer than what
    happened in it is cut off, marked by `>`. Of more than 24 requests those in the
    midst are left out.

    Args:
        evidence: what to draw.
        width: characters a line, at least 28.
    """
    frame = Frame.of(evidence)
    pad = max(len(f"#{event.number}") for event in evidence.events)
    columns = max(_LEAST_WIDTH, width) - pad - _OFFSET - _STATUS - 3
    start_ns = min(event.sent_ns for event in evidence.events)
    digits = 6 if max(event.sent_ns for event in evidence.events) - start_ns < _FINE_NS else 3

    def rows(events: "Sequence[Witness]") -> list[str]:
        return [
            f"{f'#{event.number}':>{pad}} {(event.sent_ns - start_ns) / 1e9:>{_OFFSET - 2}.{digits}f} s "
            f"{event.status or '-':>{_STATUS}} {_bar(frame, event, columns - 1)}"
            for event in events
        ]

    first, left_out, last = shown(evidence.events, _MOST_LINES)
    between = [f"{'':>{pad}} ... {left_out} more ..."] if left_out else []
    return "\n".join(
        [*rows(first), *between, *rows(last), *_bracket(evidence, frame, pad, columns - 1)]
    )


def _bar(frame: Frame, event: "Witness", width: int) -> str:
    left = frame.place(event.sent_ns, width)
    right = width if event.received_ns is None else frame.place(event.received_ns, width)
    if left == right:
        return " " * left + "|"
    fill = "x" if event.outcome == "rejected" else "="
    closing = ">" if event.received_ns is None else "]"
    return " " * left + "[" + fill * (right - left - 1) + closing


def _bracket(evidence: "Evidence", frame: Frame, pad: int, width: int) -> list[str]:
    left, right = frame.place(frame.opens_ns, width), frame.place(frame.closes_ns, width)
    closing = ">" if frame.is_cut else ")"
    label = spaced(evidence.window_ns)
    if evidence.slack_ns:
        label += f", {seconds(evidence.slack_ns, up=False)} to spare"
    margin = pad + _OFFSET + _STATUS + 3
    begins = max(0, min(margin, margin + width + 1 - len(label)))
    behind = " " * (_STATUS + 2)
    return [
        f"{'':>{pad}} {'window':>{_OFFSET}}{behind}"[:margin]
        + " " * left
        + "["
        + "-" * (right - left - 1)
        + closing,
        " " * begins + label,
    ]
