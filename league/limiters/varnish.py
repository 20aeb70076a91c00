"""Varnish's vsthrottle."""

from league.installed import program
from league.row import Place, Row, Truth

_CONFIGURATION = """
vcl 4.1; import vsthrottle;
backend none none;
sub vcl_recv {
    if (vsthrottle.is_denied(req.url, 5, 5s)) {
        return (synth(429, "slow down"));
    }
    return (synth(200, "hello"));
}
"""


def _commands(place: Place) -> list[tuple[str, ...]]:
    file = place.folder / "limited.vcl"
    file.write_text(_CONFIGURATION)
    at = ("-a", f"127.0.0.1:{place.port}", "-n", str(place.folder / "work"))
    return [("varnishd", "-F", *at, "-f", str(file), "-s", "malloc,64m", "-j", "none")]


ROWS = (
    Row(
        name="Varnish vsthrottle",
        truth=Truth.YES,
        why="a bucket: 5 at once, and one more every second",
        worst=9,
        needs=("varnishd",),
        version=lambda: program("varnishd", "-V"),
        commands=_commands,
    ),
)
