"""The settings: signalbox.toml, the environment, and whether each secret can be read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from local.doctor.findings import CORRECT_SETTING, Check, Finding, Project, Subject, failed, ok, skipped, warning
from shared.core.target_config import TargetConfig
from shared.errors import ConfigError
from shared.runtime import config, log, secrets, settings
from shared.runtime.config import Config
from shared.runtime.settings import Settings

NAME_BACKEND = (
    "Set GOOGLE_CLOUD_PROJECT and sign in with `gcloud auth application-default login`; on a laptop set "
    "SIGNALBOX_BACKEND=local.emulation.backend:open_backend."
)
NAME_THE_APP = "Set GITHUB_APP_ID to the client id in the App's settings on GitHub."
GIVE_SECRET = (
    "Give the secret a version in Secret Manager and the reader roles/secretmanager.secretAccessor on it; on a laptop "
    "set its environment variable."
)

CHOSEN_HERE = (secrets.GITHUB_WEBHOOK_SECRET, secrets.RAILWAY_WEBHOOK_SECRET, secrets.N8N_API)
"""The others are made by a vendor."""
SHORTEST = 32
"""Characters: what signs should have no fewer than its hash has bytes (RFC 7518 §3.2)."""
LENGTHEN = "Make one with `openssl rand -hex 32`, and rotate the secret: docs/token-management.md."


def read(environ: Mapping[str, str]) -> tuple[list[Finding], Settings | None, Config | None]:
    """Every problem of both, and what of them can be used."""
    problems, usable = _environment(environ)
    path = Path(usable.signalbox_config if usable else environ.get("SIGNALBOX_CONFIG") or "signalbox.toml")
    configured = None
    try:
        configured = config.load(path)
    except ConfigError as error:
        problems += str(error).splitlines()
    found = [failed(Subject.CONFIGURATION, problem, CORRECT_SETTING) for problem in problems]
    if usable is not None and not usable.github_app_id:
        found.append(failed(Subject.CONFIGURATION, "environment variable GITHUB_APP_ID: is not set", NAME_THE_APP))
    if not found and configured is not None:
        names = ", ".join(target.id for target in configured.targets)
        found.append(ok(Subject.CONFIGURATION, f"{path}: {names}"))
        found += [warning(Subject.CONFIGURATION, f"{path}: {one}", CORRECT_SETTING) for one in configured.renamed]
        found += [
            _in_vain(target) for target in configured.targets if target.policy.probation and not target.policy.watch
        ]
    return found, usable, configured


def _in_vain(target: TargetConfig) -> Finding:
    detail = (
        f"{target.id}: probation = {target.policy.probation:g} has no effect with watch = false: nothing is checked"
    )
    return warning(Subject.CONFIGURATION, detail, "Remove `watch = false`, or set `probation = 0`.")


def _environment(environ: Mapping[str, str]) -> tuple[list[str], Settings | None]:
    problems = []
    for name in (field.upper() for field in Settings.__struct_fields__):
        try:
            alone = settings.read({name: environ.get(name, "")})
            if name == "SIGNALBOX_LOG_LEVEL":
                log.configure(alone, io.StringIO())
        except ConfigError as error:
            problems.append(str(error))
    return problems, None if problems else settings.read(environ)


def checks(project: Project) -> list[Check]:
    return [
        Check(subjects=(Subject.SECRET,), find=partial(_secret, project, name), refused=GIVE_SECRET, about=name)
        for name in project.services.config.secrets
    ]


async def _secret(project: Project, name: str) -> list[Finding]:
    if name == secrets.N8N_API and project.config is not None and project.config.n8n is None:
        return [skipped(Subject.SECRET, "signalbox.toml names no n8n")]
    values = await project.services.secrets.values(name)
    count, shortest = len(values), min(map(len, values))
    if name in CHOSEN_HERE and shortest < SHORTEST:
        return [warning(Subject.SECRET, f"readable, and of only {shortest} characters", LENGTHEN)]
    return [
        ok(Subject.SECRET, "readable" if count == 1 else f"readable: {count} values are accepted, as in a rotation")
    ]
