"""Text of a user's or a script's, made fit for a terminal and for logs that are shown on one."""


def escape_controls(text: str) -> str:
    """What would move the cursor or hide something is shown as an escape; lines stay."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)
