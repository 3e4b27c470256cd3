"""Every environment variable a deployed function reads, in one place. Secrets come by another way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shared.config import is_url
from shared.errors import ConfigError
from shared.policy import DAY

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
    google_cloud_project: str = ""
    """The project of topics, documents, secrets and traces."""
    github_app_id: str = ""
    """Client id (or App id) of the GitHub App: the issuer of its tokens."""
    github_api_url: str = "https://api.github.com"
    railway_api_url: str = "https://backboard.railway.com/graphql/v2"


def read(environ: Mapping[str, str]) -> Settings:
    """Raises ConfigError that names the variable."""
    given = {
        field: environ[field.upper()] for field in Settings.__struct_fields__ if environ.get(field.upper(), "") != ""
    }
    for name, text in given.items():
        if not text.isprintable():
            raise ConfigError(f"environment variable {name.upper()}: has characters that cannot be printed")
        if name.endswith("_url") and not is_url(text):
            raise ConfigError(f"environment variable {name.upper()}: not a URL such as https://api.github.com")
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise ConfigError(f"environment variable {path.rstrip('`').upper()}: {reason}") from error
