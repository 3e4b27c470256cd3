"""Railway: the token, and for each target whether it is there and set up so that Signalbox can deploy it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from local.doctor.findings import Check, Finding, Project, Subject, failed, ok, skipped, warning
from shared.clients.railway import Railway, ServiceState
from shared.clients.railway_setup import Token, TokenKind
from shared.config import TargetConfig
from shared.errors import Unauthorized
from shared.hearing import EVERY as NOTED_EVERY
from shared.run import Target

OVERLAP_VARIABLE = "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS"

NEW_TOKEN = "Make a new token in Railway's settings and give the secret RAILWAY-API a version with it."
SAY_KIND = "Say in signalbox.toml which kind it is: token in the table [railway]."
OTHER_SCOPE = "Use an account or workspace token, or a project token of that environment."
COMPARE_IDS = "Compare the ids in signalbox.toml with the address of the service in Railway's dashboard."
CONNECT = "Connect the service to this repository in its settings on Railway: only then can a commit be deployed."
GIVE_DOMAIN = "Give the service a domain on Railway, or name the address to look at in policy.health_url."
SET_HEALTH_CHECK = (
    "Set the health check path in the service's settings: without one Railway lets a version serve before it answers."
)
SET_OVERLAP = "Set the overlap in the service's settings, so that no request is lost when a version is replaced."
TURN_OFF = 'Turn auto-deploy off in the service\'s settings, or set policy.auto_deploy = "adopt".'
TURN_ON = 'Turn auto-deploy on in the service\'s settings, or set policy.auto_deploy = "off".'
SAME_BRANCH = "Name the same branch in the service's settings on Railway and in signalbox.toml."
SEE_STORE = "See the line of the store."
ADD_WEBHOOK = (
    "Add a webhook in the project's settings on Railway: the address of the function webhooks with /railway-webhook, "
    "and the header X-Webhook-Secret with the value of RAILWAY-WEBHOOK-SECRET."
)


def checks(project: Project) -> list[Check]:
    token = Check(subjects=(Subject.RAILWAY_TOKEN,), find=partial(_token, project), refused=NEW_TOKEN)
    return [token, *(check for place in project.services.config.targets for check in _of_target(project, place))]


def _of_target(project: Project, place: TargetConfig) -> list[Check]:
    of_service = (
        Subject.RAILWAY_SOURCE,
        Subject.RAILWAY_ADDRESS,
        Subject.RAILWAY_HEALTH_CHECK,
        Subject.RAILWAY_OVERLAP,
    )
    looks = (
        ((Subject.RAILWAY_IDS,), _ids, COMPARE_IDS),
        (of_service, _service, COMPARE_IDS),
        ((Subject.RAILWAY_AUTO_DEPLOY,), _auto_deploy, COMPARE_IDS),
        ((Subject.RAILWAY_BRANCH,), _branch, COMPARE_IDS),
        ((Subject.RAILWAY_WEBHOOK,), _webhook, SEE_STORE),
    )
    return [
        Check(subjects=subjects, find=partial(find, project, place), refused=refused, about=place.id)
        for subjects, find, refused in looks
    ]


async def _token(project: Project) -> list[Finding]:
    if project.config is None:
        return [skipped(Subject.RAILWAY_TOKEN, "signalbox.toml cannot be read")]
    kind, railway = project.config.railway.token, project.services.railway
    try:
        token = await railway.setup.token(kind)
    except Unauthorized:
        other: TokenKind = "project" if kind == "account" else "account"
        if not await _accepted(railway, other):
            raise
        told = f"RAILWAY-API is a token of the kind {other}, and signalbox.toml says {kind}"
        return [failed(Subject.RAILWAY_TOKEN, told, SAY_KIND)]
    return [_scope(token, project.config.targets)]


async def _accepted(railway: Railway, kind: TokenKind) -> bool:
    try:
        await railway.setup.token(kind)
    except Unauthorized:
        return False
    return True


def _scope(token: Token, targets: tuple[TargetConfig, ...]) -> Finding:
    if token.kind == "account":
        return ok(Subject.RAILWAY_TOKEN, f"opens {', '.join(token.workspaces) or 'no workspace by name'}")
    scope = (token.project_id, token.environment_id)
    outside = [target.id for target in targets if (target.project_id, target.environment_id) != scope]
    if outside:
        return failed(Subject.RAILWAY_TOKEN, f"does not open {', '.join(outside)}", OTHER_SCOPE)
    return ok(Subject.RAILWAY_TOKEN, "a project token of the targets' environment")


async def _ids(project: Project, place: TargetConfig) -> list[Finding]:
    found = await project.services.railway.setup.project(place.project_id)
    environment, service = found.environments.get(place.environment_id), found.services.get(place.service_id)
    if environment is None or service is None:
        missing = "environment" if environment is None else "service"
        return [failed(Subject.RAILWAY_IDS, f"the project {found.name} has no such {missing}", COMPARE_IDS)]
    return [ok(Subject.RAILWAY_IDS, f"{found.name}, {service}, {environment}")]


async def _service(project: Project, place: TargetConfig) -> list[Finding]:
    found = await project.services.railway.service(environment_id=place.environment_id, service_id=place.service_id)
    known = await project.services.repositories.of(place.repository)
    return [
        _source(found, {place.repository.lower(), known.name.lower() if known else ""}),
        _address(found, place),
        _health_check(found),
        _overlap(found),
    ]


def _source(found: ServiceState, repositories: set[str]) -> Finding:
    """`repositories`: what the repository is called, in small letters, and what signalbox.toml calls it."""
    if found.repository is None:
        told = f"is deployed from the image {found.image}" if found.image else "is connected to nothing"
        return failed(Subject.RAILWAY_SOURCE, told, CONNECT)
    if found.repository.lower() not in repositories:
        return failed(Subject.RAILWAY_SOURCE, f"is connected to {found.repository}", CONNECT)
    return ok(Subject.RAILWAY_SOURCE, f"is deployed from {found.repository}")


def _address(found: ServiceState, place: TargetConfig) -> Finding:
    looked_at = place.policy.health_url or found.host
    if looked_at is None:
        return warning(Subject.RAILWAY_ADDRESS, "it has no domain: nothing can be verified", GIVE_DOMAIN)
    return ok(Subject.RAILWAY_ADDRESS, f"is looked at on {looked_at}{place.policy.health_path}")


def _health_check(found: ServiceState) -> Finding:
    if not found.healthcheck_path:
        return warning(Subject.RAILWAY_HEALTH_CHECK, "none is set", SET_HEALTH_CHECK)
    return ok(Subject.RAILWAY_HEALTH_CHECK, f"is set: {found.healthcheck_path}")


def _overlap(found: ServiceState) -> Finding:
    """A variable of the service may set it too, which is not looked at: it would show every other variable."""
    if found.overlap_seconds is None:
        told = f"none is set: the old version stops at once, unless the variable {OVERLAP_VARIABLE} says otherwise"
        return warning(Subject.RAILWAY_OVERLAP, told, SET_OVERLAP)
    return ok(Subject.RAILWAY_OVERLAP, f"the old version serves on for {found.overlap_seconds} s")


async def _auto_deploy(project: Project, place: TargetConfig) -> list[Finding]:
    found = await project.services.railway.setup.auto_deploy(**_where(place))
    adopted = place.policy.auto_deploy == "adopt"
    if found.enabled and not adopted:
        told = "on, and not adopted: each merge would be deployed twice"
        return [failed(Subject.RAILWAY_AUTO_DEPLOY, told, TURN_OFF)]
    if adopted and not found.enabled:
        told = (
            f"off{f' ({found.reason})' if found.reason else ''}, and waited for {place.policy.adopt_wait:g} s in vain"
        )
        return [warning(Subject.RAILWAY_AUTO_DEPLOY, told, TURN_ON)]
    return [ok(Subject.RAILWAY_AUTO_DEPLOY, "on, and adopted" if adopted else "off")]


async def _branch(project: Project, place: TargetConfig) -> list[Finding]:
    triggers = await project.services.railway.setup.triggers(**_where(place))
    branches = sorted({trigger.branch for trigger in triggers})
    if not branches:
        return [skipped(Subject.RAILWAY_BRANCH, "Railway names none: nothing is deployed by a push")]
    if place.branch in branches:
        return [ok(Subject.RAILWAY_BRANCH, place.branch)]
    told = f"Railway deploys {', '.join(branches)}, and signalbox.toml {place.branch}"
    judge = failed if place.policy.auto_deploy == "adopt" else warning
    return [judge(Subject.RAILWAY_BRANCH, told, SAME_BRANCH)]


async def _webhook(project: Project, place: TargetConfig) -> list[Finding]:
    """One was missed when the last verified deployment, by whoever it was asked for, went by without one."""
    found = await project.services.store.get(Target, place.id)
    heard = found.document.heard.get("railway") if found else None
    if found is None or heard is None:
        told = "none has been noted; they are from the first run on"
        return [warning(Subject.RAILWAY_WEBHOOK, told, ADD_WEBHOOK)]
    last, policy = found.document.current, place.policy
    longest = timedelta(seconds=policy.monitor_deadline + policy.verify_deadline + policy.bake) + NOTED_EVERY
    told = f"the last arrived {heard:%Y-%m-%d %H:%M} UTC"
    if last is not None and heard < last.at - longest:
        return [warning(Subject.RAILWAY_WEBHOOK, f"{told}, before the last deployment", ADD_WEBHOOK)]
    return [ok(Subject.RAILWAY_WEBHOOK, told)]


def _where(place: TargetConfig) -> dict[str, str]:
    return {
        "project_id": place.project_id,
        "environment_id": place.environment_id,
        "service_id": place.service_id,
    }
