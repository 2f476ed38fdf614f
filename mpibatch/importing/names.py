"""Names of steps as they may be here, and unique."""

import re


def step_name(name: str, taken: set[str]) -> str:
    """`Score_Images` as `score-images`; with a number where that is taken."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    slug = slug if slug[:1].isalpha() else f"step-{slug}"
    base = slug[:32].rstrip("-").ljust(3, "0")
    found, number = base, 2
    while found in taken:
        found, number = f"{base[:29]}-{number}", number + 1
    taken.add(found)
    return found
