"""How a failure is told in the log: what and where, not in its words, which may hold data."""

import traceback


def told(error: BaseException) -> str:
    """Its kind, and the stack below it."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
