"""Secrets out of environment variables: the laptop's stand-in for Secret Manager."""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import SecretMissing


class EnvironmentSecrets:
    """`github-app-private-key` is the variable GITHUB_APP_PRIVATE_KEY. One value each: nothing rotates on a laptop."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def read(self, name: str) -> tuple[str, ...]:
        """Raises SecretMissing when the variable is unset or blank."""
        variable = name.upper().replace("-", "_")
        value = self._environ.get(variable, "")
        if not value.strip():
            raise SecretMissing(f"secret {name}: set the environment variable {variable}")
        return (value,)

    async def close(self) -> None:
        """Nothing is open."""
