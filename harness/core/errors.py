"""The one exception that the command line turns into a message and exit code 2.

Everything that a user can get wrong (a name, a value, a file) raises `UserError`; anything else that
escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations


class UserError(ValueError):
    """Wrong user input; the message says what, where, and what to do.

    Bytes of a file name that are not UTF-8 are shown as escapes.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def did_you_mean(name: str, known: list[str]) -> str:
    """Return " Did you mean 'x'?" for the closest of `known`, whatever its case, or an empty string."""
    import difflib

    by_lower = {one.lower(): one for one in reversed(known)}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.55)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""
