"""The typed seam to the native core."""

__version__: str
