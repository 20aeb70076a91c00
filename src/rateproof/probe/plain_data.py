"""A finding as plain data."""

from typing import Any

from rateproof.probe.finding import Finding
from rateproof.probe.page import headline, second_quota, would_tell


def to_json(finding: Finding) -> dict[str, Any]:
    """Plain data, for `--json`."""
    course = finding.course
    several = course.several
    return {
        "url": finding.url,
        "policy": str(finding.quota) if finding.quota else None,
        "summary": headline(finding),
        "limit": finding.limit,
        "candidates": [
            {
                "family": kind.family.name,
                "policy": str(kind.quota(delaying=finding.delaying)),
                "window_low_ns": kind.bounds_ns[0],
                "window_high_ns": kind.bounds_ns[1],
                "close": kind.close,
                "block_ns": list(kind.block_ns),
            }
            for kind in finding.kinds
        ],
        "predictions": {
            "true": course.proof.true if course.proof else 0,
            "keys": course.proof.keys if course.proof else 0,
            "wrong": course.surprises,
        },
        "excluded": {
            family.name: keys
            for family, keys in (course.proof.excluded if course.proof else {}).items()
        },
        "same_as_far_as_seen": finding.alike,
        "varies_up_to_ns": finding.varies_ns,
        "reach": finding.reach._asdict(),
        "second_quota": second_quota(finding),
        "would_tell": would_tell(finding),
        "delaying": finding.delaying,
        "keys": len(course.keys),
        "counters_at_least": several.counters if several else None,
        "one_counter_as_far_as_seen": course.one_counter and not several,
        "together": several.together if several else None,
        "key": {each.name: each.verdict for each in finding.dimensions},
        "headers": dict(finding.hello.claims),
        "rejected_statuses": sorted(finding.rejected_statuses),
        "statuses": {str(status): count for status, count in finding.statuses.items()},
        "evidence": [
            {"steps": [list(step) for step in tried.steps], "admitted": list(tried.admitted)}
            for tried in course.rounds
        ],
        "requests": finding.requests,
        "elapsed_ns": finding.elapsed_ns,
    }
