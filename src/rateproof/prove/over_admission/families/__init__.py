"""Searches for what a gap does not say: where the windows of a limiter may begin.

The gap of a fixed window, a sliding counter or a window opened by a first hit is
necessary only. These searches are made after it found nothing: is there, for
what was admitted, any phase of the windows, or any hits that may have opened
them, under which no window took too many?
"""
