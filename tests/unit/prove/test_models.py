"""The tolerance and the stairs, by hand."""

import pytest

from rateproof import core
from rateproof.clock import EXACT, Tolerance
from rateproof.errors import InvalidArgument
from rateproof.policy import Policy
from rateproof.prove.over_admission.families import Model
from rateproof.prove.over_admission.gaps import Stair


def test_a_tolerance_shortens_gaps_and_lengthens_windows():
    tolerance = Tolerance(ppm=500, granularity_ns=7)
    stair = Stair.of(Policy.parse("5 per 1ms").quotas[0], tolerance)
    assert stair.span_ns(1) == 999_500 - 7
    # Granularity is lost once, however many windows are spanned.
    assert stair.span_ns(3) == 3 * 999_500 - 7
    assert tolerance.at_most_ns(1_000_000) == 1_000_501 + 7
    assert EXACT.at_most_ns(1_000_000) == 1_000_000


def test_a_gap_is_never_negative():
    stair = Stair.of(Policy.parse("5 per 1us").quotas[0], Tolerance(0, 10**9))
    assert stair.gap(6) == 0


@pytest.mark.parametrize(("ppm", "granularity_ns"), [(-1, 0), (10**6, 0), (0, -1), (0, 2**61)])
def test_a_senseless_tolerance_is_refused(ppm, granularity_ns):
    with pytest.raises(InvalidArgument):
        Tolerance(ppm, granularity_ns)


def test_of_several_quotas_the_largest_gap_holds():
    model = Model.of(Policy.parse("2 per 10ns; 3 per 100ns"))
    assert [model.gap(m) for m in range(1, 8)] == [0, 0, 10, 100, 100, 100, 200]
    assert max(stair.horizon_ns for stair in model.stairs) == 102


@pytest.mark.parametrize(
    "text", ["1000000000 per 1ns", "token-bucket 1000000000 per 26000 days burst 1000000000"]
)
def test_the_largest_policies_fit_the_native_core(text):
    """Times of 63 bits and every tolerance stay within its arithmetic."""
    native = core.native()
    if native is not None:
        stair = Stair.of(Policy.parse(text).quotas[0], Tolerance(499_999, 2**61 - 1))
        figures = (stair.width, stair.lag, stair.rise_num, stair.rise_den, stair.slack_ns)
        times = b"".join(t.to_bytes(8, "little", signed=True) for t in (-(2**63) + 1, 2**63 - 1))
        assert native.feasible(times, times, [figures], 0)[0] == "feasible"


@pytest.mark.parametrize(
    ("sent", "stairs"), [(b"1234567", []), (b"", []), (b"12345678", [(0, 0, 1, 1, 0)])]
)
def test_the_native_core_refuses_figures_out_of_bounds_as_a_bad_argument(sent, stairs):
    native = core.native()
    if native is not None:
        with pytest.raises(InvalidArgument):
            native.feasible(sent, b"12345678", stairs, 0)
