"""Every environment variable a deployed function reads, in one place. Secrets come by another way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shared.core.policy import DAY
from shared.errors import ConfigError
from shared.runtime import forgiving

Seconds = Annotated[float, Meta(ge=0, le=DAY)]


class Settings(Struct, frozen=True, kw_only=True):
    """Process settings. The field's name in capitals is the variable's name."""

    signalbox_backend: str = "shared.cloud:open_backend"
    """Dotted path of the factory of store, bus, secrets and clock."""
    signalbox_config: str = "signalbox.toml"
    """Path of the pipeline settings, from the working directory."""
    signalbox_log_level: str = "INFO"
    """Least severity that is logged."""
    signalbox_console_url: str = ""
    """Where people reach the console: makes links in comments and notifications."""
    signalbox_redelivery: Seconds = 660.0
    """Seconds by which a message handed back has been redelivered: the queue's longest backoff and a margin."""
    signalbox_unclaimed: Seconds = 90.0
    """Seconds by which a message just published has been claimed; the sweep sends it again after that."""
    signalbox_visible: Seconds = 60.0
    """Seconds by which the effect of a vendor call whose answer was lost shows in the vendor's lists."""
    signalbox_limit: float = 50.0
    """Seconds for one execution of a stage, or for telling people once: less than the function's timeout."""
    signalbox_allow_loopback: bool = False
    """Let the health probe reach this machine: local emulation only."""
    signalbox_caller: str = ""
    """The account as which this function's subscription or schedule calls it; without one, anybody is served."""
    signalbox_audience: str = ""
    """The address for which such a call's token is."""
    signalbox_private: bool = False
    """Cloud Run lets no one in without IAM, and takes the signature off the tokens that it has checked."""
    google_cloud_project: str = ""
    """The project of topics, documents, secrets and traces."""
    github_app_id: str = ""
    """Client id (or App id) of the GitHub App: the issuer of its tokens."""
    github_api_url: str = "https://api.github.com"
    railway_api_url: str = "https://backboard.railway.com/graphql/v2"


def given(environ: Mapping[str, str], name: str) -> str:
    """A variable without what was copied along with its value; empty when it is not set."""
    return forgiving.clean(environ.get(name, ""))


def read(environ: Mapping[str, str]) -> Settings:
    """Raises ConfigError that names the variable."""
    found: dict[str, object] = {}
    for name in Settings.__struct_fields__:
        text = given(environ, name.upper())
        if not text:
            continue
        if not text.isprintable():
            raise ConfigError(f"environment variable {name.upper()}: has characters that cannot be printed")
        try:
            found[name] = _READERS.get(name, str)(text)
        except ValueError as error:
            raise ConfigError(f"environment variable {name.upper()}: {error}") from error
    try:
        return msgspec.convert(found, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise ConfigError(f"environment variable {path.rstrip('`').upper()}: {reason}") from error


_READERS: Mapping[str, Callable[[str], object]] = {
    "signalbox_console_url": forgiving.console,
    "signalbox_log_level": lambda text: "WARNING" if text.upper() == "WARN" else text.upper(),
    "signalbox_allow_loopback": forgiving.truth,
    "signalbox_private": forgiving.truth,
    "google_cloud_project": lambda text: text.removeprefix("projects/").strip("/"),
    "github_app_id": forgiving.app_id,
    "github_api_url": forgiving.github_api,
    "railway_api_url": forgiving.railway_api,
}
