"""The GitHub App: accepted, installed, allowed to do its work, told of what happens; and how its webhooks fare."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import httpx

from local.doctor.findings import Check, Finding, Project, Subject, failed, ok, skipped, warning
from shared.clients.github.registration import Attempt, Installation

NEEDED = {
    "metadata": "read",
    "contents": "write",
    "pull_requests": "write",
    "issues": "write",
    "checks": "read",
    "statuses": "read",
    "deployments": "write",
}
"""What the calls of shared/clients/github/client.py need: merge, comment, react, show deployments, read the rest."""
LISTENED_TO = ("pull_request", "pull_request_review", "check_suite", "status", "issue_comment", "repository")
"""The events that functions/webhooks/github.py reads."""
_LEVELS = ("none", "read", "write", "admin")
PATH = "/github-webhook"
DAY, REMEMBERED = timedelta(days=1), timedelta(days=3)

CHECK_CREDENTIALS = "Compare GITHUB_APP_ID and the secret github-app-private-key with the App's settings on GitHub."
INSTALL = "Install the App on the repository, and look at the repository's name in signalbox.toml."
NAME_ANEW = "Name the repository in signalbox.toml as GitHub calls it; until then everything goes on."
UNSUSPEND = "Unsuspend the installation in the owner's settings on GitHub, under GitHub Apps."
GRANT = "Give the App these permissions in its settings, then accept them on the installation."
SUBSCRIBE = "Subscribe to these events in the App's settings, under Permissions & events."
SET_WEBHOOK = f"Set the webhook in the App's settings: the https address of the function webhooks with {PATH}."
SET_JSON = "Set the content type of the webhook to application/json and leave the verification of certificates on."
SET_SECRET = "Set the webhook's secret in the App's settings to the value of GITHUB-WEBHOOK-SECRET."
SEE_DELIVERIES = "See the App's settings, Advanced, Recent Deliveries: each shows the answer that it got."
WAIT_FOR_WEBHOOK = "Push to a pull request; if still nothing arrives, see that the App's webhook is active."


def checks(project: Project) -> list[Check]:
    if not project.services.settings.github_app_id:
        return [_without_app(subject) for subject in Subject if subject.name.startswith("GITHUB_")]
    repositories = dict.fromkeys(target.repository for target in project.services.config.targets)
    return [
        Check(subjects=(Subject.GITHUB_APP,), find=partial(_app, project), refused=CHECK_CREDENTIALS),
        *(
            Check(
                subjects=(Subject.GITHUB_INSTALLATION, Subject.GITHUB_PERMISSIONS, Subject.GITHUB_EVENTS),
                find=partial(_installation, project, repository),
                refused=INSTALL,
                about=repository,
            )
            for repository in repositories
        ),
        Check(subjects=(Subject.GITHUB_WEBHOOK,), find=partial(_webhook, project), refused=SET_WEBHOOK),
        Check(subjects=(Subject.GITHUB_DELIVERIES,), find=partial(_deliveries, project), refused=SET_WEBHOOK),
    ]


def _without_app(subject: Subject) -> Check:
    async def find() -> list[Finding]:
        return [skipped(subject, "GITHUB_APP_ID is not set")]

    return Check(subjects=(subject,), find=find, refused="")


async def _app(project: Project) -> list[Finding]:
    app = await project.services.github.registration.app()
    return [ok(Subject.GITHUB_APP, f"{app.slug}: GitHub accepts what its private key signs")]


async def _installation(project: Project, repository: str) -> list[Finding]:
    found = await project.services.github.registration.installation(repository)
    return [_installed(found), _permissions(found), _events(found), *await _renamed(project, repository)]


async def _renamed(project: Project, repository: str) -> list[Finding]:
    known = await project.services.repositories.of(repository)
    if known is None or known.name.lower() == repository.lower():
        return []
    return [warning(Subject.GITHUB_INSTALLATION, f"it is called {known.name} now", NAME_ANEW)]


def _installed(found: Installation) -> Finding:
    if found.suspended_at is not None:
        return failed(Subject.GITHUB_INSTALLATION, f"suspended since {found.suspended_at:%Y-%m-%d}", UNSUSPEND)
    return ok(Subject.GITHUB_INSTALLATION, f"installation {found.id}")


def _permissions(found: Installation) -> Finding:
    granted = {name: found.permissions.get(name, "none") for name in NEEDED}
    lacking = [
        f"{name} {level} (has {granted[name]})"
        for name, level in NEEDED.items()
        if _LEVELS.index(granted[name]) < _LEVELS.index(level)
    ]
    if lacking:
        return failed(Subject.GITHUB_PERMISSIONS, f"missing: {', '.join(lacking)}", GRANT)
    return ok(Subject.GITHUB_PERMISSIONS, "sufficient")


def _events(found: Installation) -> Finding:
    lacking = [event for event in LISTENED_TO if event not in found.events]
    if lacking:
        return failed(Subject.GITHUB_EVENTS, f"missing: {', '.join(lacking)}", SUBSCRIBE)
    return ok(Subject.GITHUB_EVENTS, "all that are listened to")


async def _webhook(project: Project) -> list[Finding]:
    """GitHub's own sign for a checked certificate is 0, as a number or as a text."""
    hook = await project.services.github.registration.hook_config()
    address = httpx.URL(hook.url)
    local = project.services.settings.signalbox_allow_loopback
    if not hook.url or address.path != PATH or (address.scheme != "https" and not local):
        return [failed(Subject.GITHUB_WEBHOOK, f"goes to {hook.url or 'nowhere'}", SET_WEBHOOK)]
    if hook.content_type != "json" or str(hook.insecure_ssl) != "0":
        how = f"as {hook.content_type}{'' if str(hook.insecure_ssl) == '0' else ', to whatever certificate'}"
        return [failed(Subject.GITHUB_WEBHOOK, f"is sent {how}", SET_JSON)]
    if not hook.secret:
        return [failed(Subject.GITHUB_WEBHOOK, "is not signed: it has no secret", SET_SECRET)]
    return [ok(Subject.GITHUB_WEBHOOK, f"goes to {hook.url}")]


async def _deliveries(project: Project) -> list[Finding]:
    now, registration = project.services.clock.now(), project.services.github.registration
    last_day = await registration.recent_deliveries(now - DAY)
    attempts = last_day or await registration.recent_deliveries(now - REMEMBERED)
    if not attempts:
        return [warning(Subject.GITHUB_DELIVERIES, "none in the last three days", WAIT_FOR_WEBHOOK)]
    newest = f"the last was sent {attempts[0].delivered_at:%Y-%m-%d %H:%M} UTC ({attempts[0].event})"
    lost, sent = _lost(last_day), len({attempt.guid for attempt in last_day})
    if not lost:
        return [ok(Subject.GITHUB_DELIVERIES, newest)]
    told = f"{newest}; {lost} of {sent} of the last day did not get through"
    judge = failed if 2 * lost > sent else warning
    return [judge(Subject.GITHUB_DELIVERIES, told, SEE_DELIVERIES)]


def _lost(attempts: list[Attempt]) -> int:
    """Webhooks of which no attempt got through."""
    through = {attempt.guid for attempt in attempts if attempt.delivered}
    return len({attempt.guid for attempt in attempts} - through)
