"""What the doctor looks at, what it found, and how a look that failed is told."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from shared.errors import ConfigError, SecretMissing, SignalboxError, TransientError
from shared.runtime.config import Config
from shared.runtime.redaction import redact
from shared.runtime.services import Services

State = Literal["ok", "warning", "failed", "skipped"]

TRY_AGAIN = "Try again; if it stays so, look at the vendor's status page and at the network in between."
CORRECT_SETTING = "Correct the setting; docs/configuration.md explains each."
DO_AS_IT_SAYS = "Do as it says; credentials are those of `gcloud auth application-default login`."
SEE_SECRET = "See the line of that secret."


class Subject(enum.StrEnum):
    """In the order in which they are shown."""

    CONFIGURATION = "configuration"
    SECRET = "secret"
    STORE = "store"
    TOPICS = "topics"
    SUBSCRIPTIONS = "subscriptions"
    GITHUB_APP = "GitHub App"
    GITHUB_INSTALLATION = "GitHub installation"
    GITHUB_PERMISSIONS = "GitHub permissions"
    GITHUB_EVENTS = "GitHub events"
    GITHUB_WEBHOOK = "GitHub webhook"
    GITHUB_DELIVERIES = "GitHub deliveries"
    RAILWAY_TOKEN = "Railway token"
    RAILWAY_IDS = "Railway ids"
    RAILWAY_SOURCE = "Railway source"
    RAILWAY_ADDRESS = "Railway address"
    RAILWAY_HEALTH_CHECK = "Railway health check"
    RAILWAY_CONFIG_FILE = "Railway config file"
    RAILWAY_OVERLAP = "Railway overlap"
    RAILWAY_AUTO_DEPLOY = "Railway auto-deploy"
    RAILWAY_BRANCH = "Railway branch"
    RAILWAY_WEBHOOK = "Railway webhook"
    N8N_WORKFLOW = "n8n workflow"


class Finding(Struct, frozen=True, kw_only=True):
    """One line: `about` is the secret, repository or target, where there are several."""

    subject: Subject
    about: str = ""
    state: State
    detail: str
    next_step: str = ""


class Project(Struct, frozen=True, kw_only=True):
    """What is examined. `config` is None when signalbox.toml cannot be read; `services` then know no target."""

    environ: Mapping[str, str]
    services: Services
    config: Config | None


class Check(Struct, frozen=True, kw_only=True):
    """One look, which tells of all its `subjects`. `refused` is what to do when it is not allowed or finds nothing."""

    subjects: tuple[Subject, ...]
    find: Callable[[], Awaitable[list[Finding]]]
    refused: str
    about: str = ""


def ok(subject: Subject, detail: str) -> Finding:
    return Finding(subject=subject, state="ok", detail=detail)


def warning(subject: Subject, detail: str, next_step: str) -> Finding:
    return Finding(subject=subject, state="warning", detail=detail, next_step=next_step)


def failed(subject: Subject, detail: str, next_step: str) -> Finding:
    return Finding(subject=subject, state="failed", detail=detail, next_step=next_step)


def skipped(subject: Subject, detail: str) -> Finding:
    return Finding(subject=subject, state="skipped", detail=detail)


async def carry_out(check: Check) -> list[Finding]:
    """Its findings, without secrets; whatever keeps it from looking is one too."""
    try:
        found = await check.find()
    except SignalboxError as error:
        first, *others = check.subjects
        found = [failed(first, str(error), _way_out(error, check))]
        found += [skipped(subject, f"not checked: see {first}") for subject in others]
    return [replace(finding, about=finding.about or check.about, detail=redact(finding.detail)) for finding in found]


def _way_out(error: SignalboxError, check: Check) -> str:
    if isinstance(error, SecretMissing) and Subject.SECRET not in check.subjects:
        return SEE_SECRET
    if isinstance(error, ConfigError):
        return DO_AS_IT_SAYS
    return TRY_AGAIN if isinstance(error, TransientError) else check.refused
