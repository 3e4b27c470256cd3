"""Looks at a real project, changes nothing, and says of each thing whether it is well, and if not, what to do.

What concerns different vendors is looked at side by side; what one vendor is asked, one after the other, as their
limits count requests per second. docs/doctor.md lists the subjects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from local.doctor import configuration, github, google, n8n, railway
from local.doctor.findings import Check, Finding, Project, Subject, carry_out, failed, skipped
from shared.errors import SignalboxError
from shared.runtime.config import Config
from shared.runtime.services import Services, open_backend

if TYPE_CHECKING:
    from shared.clients.http import Network

__all__ = ["Finding", "Project", "Subject", "examine", "look_at"]

PARTS = (configuration, google, github, railway, n8n)


async def examine(environ: Mapping[str, str], *, networks: Mapping[str, Network] | None = None) -> list[Finding]:
    """Of the project that the environment names. `networks` replace the network in tests, by client name."""
    found, settings, config = configuration.read(environ)
    if settings is None:
        return found + _left_out()
    try:
        backend = open_backend(settings, environ)
    except SignalboxError as error:
        return [
            failed(Subject.CONFIGURATION, str(error), configuration.NAME_BACKEND),
            *_without_ok(found),
            *_left_out(),
        ]
    services = Services(settings, config or Config(targets=()), backend, networks=networks)
    try:
        return found + await look_at(Project(environ=environ, services=services, config=config))
    finally:
        await services.close()


async def look_at(project: Project) -> list[Finding]:
    """Everything but its configuration, which was read already."""
    parts = await asyncio.gather(*(_in_turn(part.checks(project)) for part in PARTS))
    order = list(Subject)
    return sorted((finding for part in parts for finding in part), key=lambda finding: order.index(finding.subject))


async def _in_turn(checks: Sequence[Check]) -> list[Finding]:
    return [finding for check in checks for finding in await carry_out(check)]


def _left_out() -> list[Finding]:
    return [
        skipped(subject, "the configuration cannot be used")
        for subject in Subject
        if subject is not Subject.CONFIGURATION
    ]


def _without_ok(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.state != "ok"]
