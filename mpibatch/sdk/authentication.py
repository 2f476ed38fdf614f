"""Signing in and secrets: nothing is signed in to; secrets are environment variables."""

import os
from typing import Any


class InteractiveLoginAuthentication:
    """Accepted wherever `auth=` is; every other way to sign in is this one under another name."""

    def __init__(self, *arguments: Any, **ignored: Any) -> None:
        pass

    def get_authentication_header(self) -> dict[str, str]:
        return {}


class Keyvault:
    """`get_secret(name)` is the environment variable NAME, with - as _."""

    def get_secret(self, name: str) -> str | None:
        return os.environ.get(name) or os.environ.get(name.upper().replace("-", "_"))

    def set_secret(self, name: str, value: str) -> None:
        """For this process and what it starts; nothing is written."""
        os.environ[name.upper().replace("-", "_")] = value

    def list_secrets(self) -> list[dict[str, str]]:
        return []
