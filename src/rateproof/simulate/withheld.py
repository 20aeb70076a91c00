"""What of a request is never written down: reports, logs and commands are handed around."""

__all__ = ["shown_header"]

_HARMLESS = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-type",
        "pragma",
        "range",
        "user-agent",
    }
)


def shown_header(name: str, value: str) -> str:
    """The value as it may be written, `[not shown]` unless its header never holds a secret.

    Any name may be that of a token: only a few that cannot be are shown.

    >>> shown_header("Accept", "text/*"), shown_header("X-Token", "s3cret")
    ('text/*', '[not shown]')
    """
    return value if name.strip().lower() in _HARMLESS else "[not shown]"
