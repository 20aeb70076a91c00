"""Counts of answers over time, in memory that does not grow."""

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rateproof.events import EventLog
from rateproof.events.columns import NULL

__all__ = ["BINS", "MOST_LABELS", "OTHER", "Rates", "plain"]

BINS = 240
"""Bins at most; when time runs out of them, they merge by twos."""

MOST_LABELS = 16
OTHER = "other"
"""Stands for labels beyond `MOST_LABELS`, and for those that are no plain word."""

_FIRST_WIDTH_NS = 10_000_000
_PLAIN = re.compile("[a-z0-9 -]{1,24}")

Ints = NDArray[np.int64]


def plain(word: str) -> str:
    """A word that may stand in a chart; what a foreign log calls an error may be anything."""
    return word if _PLAIN.fullmatch(word) else OTHER


class Rates:
    """Requests by the time at which they were sent and by what came of them.

    A label is a status code, or the kind of error where no answer came; `outcomes`
    has what the first request of each was taken for.
    """

    def __init__(self) -> None:
        self.origin_ns = 0
        self.width_ns = _FIRST_WIDTH_NS
        self.outcomes: dict[str, str] = {}
        self._counts: dict[str, Ints] = {}

    def add(self, log: EventLog) -> None:
        """Count a log in. What was sent before the first log began counts as sent then."""
        if not len(log):
            return
        sent = np.frombuffer(log.ints("sent_ns"), np.int64)
        if not self._counts:
            self.origin_ns = int(sent.min())
        while int(sent.max()) - self.origin_ns >= BINS * self.width_ns:
            self._merge()
        bins = np.maximum(sent - self.origin_ns, 0) // self.width_ns
        answers, words = _answers(log)
        codes, outcomes = log.codes("outcome")
        for label, of_label in self._labelled(answers, words).items():
            counts = self._counts.setdefault(label, np.zeros(BINS, np.int64))
            rows = of_label[answers]
            counts += np.bincount(bins[rows], minlength=BINS)
            self.outcomes.setdefault(label, outcomes[codes[int(rows.argmax())]])

    @property
    def totals(self) -> Mapping[str, int]:
        """Counts by label, the most frequent first."""
        totals = {label: int(counts.sum()) for label, counts in self._counts.items()}
        return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))

    @property
    def used(self) -> int:
        """The number of bins up to the last that has a request."""
        ends = (int(np.flatnonzero(counts)[-1]) for counts in self._counts.values())
        return max(ends, default=-1) + 1

    def per_s(self, label: str) -> NDArray[np.float64]:
        """Requests a second of that label, in each bin used."""
        return self._counts[label][: self.used] / (self.width_ns / 1e9)

    def _labelled(
        self, answers: NDArray[np.intp], words: list[str]
    ) -> dict[str, NDArray[np.bool_]]:
        """For each label which of the words it stands for; the frequent words get their own."""
        known = set(self._counts)
        times = Counter(dict(enumerate(np.bincount(answers, minlength=len(words)).tolist())))
        labels: dict[str, NDArray[np.bool_]] = {}
        for number, count in times.most_common():
            word = plain(words[number])
            if word not in known and len(known) >= MOST_LABELS:
                word = OTHER
            known.add(word)
            if count:
                labels.setdefault(word, np.zeros(len(words), bool))[number] = True
        return labels

    def _merge(self) -> None:
        self.width_ns *= 2
        for counts in self._counts.values():
            counts[: BINS // 2] = counts[0::2] + counts[1::2]
            counts[BINS // 2 :] = 0


def _answers(log: EventLog) -> tuple[NDArray[np.intp], list[str]]:
    """A code for each row, and what the codes stand for: status, or the error without one."""
    statuses, status_codes = np.unique(
        np.frombuffer(log.ints("status"), np.int64), return_inverse=True
    )
    errors, error_words = log.codes("error")
    words = [str(status) for status in statuses.tolist()]
    lost = words.index(str(NULL)) if str(NULL) in words else -1
    codes = np.where(
        status_codes == lost, np.frombuffer(errors, np.int32) + len(words), status_codes
    )
    return codes, words + [word or "no answer" for word in error_words]
