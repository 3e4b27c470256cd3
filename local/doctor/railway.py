"""Railway: the tokens, and for each target whether it is there and set up so that Signalbox can deploy it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from functions.dispatch.arrivals import EVERY as NOTED_EVERY
from local.doctor import railway_tokens
from local.doctor.findings import Check, Finding, Project, Subject, failed, ok, skipped, warning
from shared.clients.railway.client import CONFIG_FILES_UNTIL
from shared.core.observed import DeploymentState, ServiceState
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.errors import Unauthorized

Find = Callable[[Project, TargetConfig], Awaitable[list[Finding]]]
OVERLAP_VARIABLE = "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS"

LOOK_YOURSELF = (
    "Look at it in Railway's dashboard. The token opens the environment, or the line of the token says why not; "
    "Railway does not let a project token see this."
)
MOVE_SETTINGS = (
    "Set the same in the service's settings in Railway's dashboard, in .railway/railway.ts, or with "
    "serviceInstanceUpdate of Railway's API; then delete the file."
)
COMPARE_IDS = "Compare the ids in signalbox.toml with the address of the service in Railway's dashboard."
CONNECT = "Connect the service to this repository in its settings on Railway: only then can a commit be deployed."
MOVE_DOMAIN = (
    "Nothing to do while the domain is being moved. Behind a proxy such as Cloudflare's Railway cannot see where it "
    "leads: name it in policy.health_url to check it anyway."
)
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
    of_targets = (check for place in project.services.config.targets for check in _of_target(project, place))
    return [*railway_tokens.checks(project), *of_targets]


def _of_target(project: Project, place: TargetConfig) -> list[Check]:
    of_service = (
        Subject.RAILWAY_SOURCE,
        Subject.RAILWAY_ADDRESS,
        Subject.RAILWAY_HEALTH_CHECK,
        Subject.RAILWAY_CONFIG_FILE,
        Subject.RAILWAY_OVERLAP,
    )
    looks = (
        ((Subject.RAILWAY_IDS,), _if_shown(_ids, Subject.RAILWAY_IDS), COMPARE_IDS),
        (of_service, _service, COMPARE_IDS),
        ((Subject.RAILWAY_AUTO_DEPLOY,), _if_shown(_auto_deploy, Subject.RAILWAY_AUTO_DEPLOY), COMPARE_IDS),
        ((Subject.RAILWAY_BRANCH,), _if_shown(_branch, Subject.RAILWAY_BRANCH), COMPARE_IDS),
        ((Subject.RAILWAY_WEBHOOK,), _webhook, SEE_STORE),
    )
    return [
        Check(subjects=subjects, find=partial(find, project, place), refused=refused, about=place.id)
        for subjects, find, refused in looks
    ]


def _if_shown(find: Find, subject: Subject) -> Find:
    """What Railway keeps from every project token is no failure of the project; which that is, it does not say."""

    async def look(project: Project, place: TargetConfig) -> list[Finding]:
        try:
            return await find(project, place)
        except Unauthorized as error:
            if place.railway_token.kind != "project":
                raise
            return [warning(subject, str(error), LOOK_YOURSELF)]

    return look


async def _ids(project: Project, place: TargetConfig) -> list[Finding]:
    found = await project.services.railway_for(place).setup.project(place.project_id)
    environment, service = found.environments.get(place.environment_id), found.services.get(place.service_id)
    if environment is None or service is None:
        missing = "environment" if environment is None else "service"
        return [failed(Subject.RAILWAY_IDS, f"the project {found.name} has no such {missing}", COMPARE_IDS)]
    return [ok(Subject.RAILWAY_IDS, f"{found.name}, {service}, {environment}")]


async def _service(project: Project, place: TargetConfig) -> list[Finding]:
    railway = project.services.railway_for(place)
    found = await railway.service(environment_id=place.environment_id, service_id=place.service_id)
    known = await project.services.repositories.of(place.repository)
    live = next((one for one in found.active if one.serves), None)
    return [
        _source(found, {place.repository.lower(), known.name.lower() if known else ""}),
        _address(found, place),
        _health_check(found, live),
        _config_file(found, live, project.services.clock.now()),
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
    doubted = "; ".join(f"{domain} is not used: {why}" for domain, why in found.unused_domains.items())
    if looked_at is None:
        also = f" ({doubted})" if doubted else ""
        return warning(Subject.RAILWAY_ADDRESS, f"it has no domain{also}: nothing can be verified", GIVE_DOMAIN)
    if doubted and place.policy.health_url is None:
        told = f"is looked at on {looked_at}{place.policy.health_path}; {doubted}"
        return warning(Subject.RAILWAY_ADDRESS, told, MOVE_DOMAIN)
    return ok(Subject.RAILWAY_ADDRESS, f"is looked at on {looked_at}{place.policy.health_path}")


def _health_check(found: ServiceState, live: DeploymentState | None) -> Finding:
    if not found.healthcheck_path:
        file = _only_in_file(found, live)
        told = f"none is set but in {file}: see Railway config file" if file else "none is set"
        return warning(Subject.RAILWAY_HEALTH_CHECK, told, SET_HEALTH_CHECK)
    return ok(Subject.RAILWAY_HEALTH_CHECK, f"is set: {found.healthcheck_path}")


def _only_in_file(found: ServiceState, live: DeploymentState | None) -> str | None:
    """The config file in which alone the health check stands."""
    checked = live is not None and bool(live.health_check) and not found.healthcheck_path
    return live.config_file if live is not None and checked else None


def _config_file(found: ServiceState, live: DeploymentState | None, now: datetime) -> Finding:
    """A deployment is configured by its service's settings and, until that day, by a file that comes before them."""
    if live is None:
        return skipped(Subject.RAILWAY_CONFIG_FILE, "nothing is live")
    if live.config_file is None:
        return ok(Subject.RAILWAY_CONFIG_FILE, "none: the service's settings are all that counts")
    day = f"{CONFIG_FILES_UNTIL:%Y-%m-%d}"
    if now < CONFIG_FILES_UNTIL:
        told = f"what is live was configured by {live.config_file}, which Railway stops reading on {day}"
    else:
        told = f"what is live names {live.config_file}, which Railway no longer reads since {day}"
    if _only_in_file(found, live):
        told += (
            f". The health check {live.health_check} stands only there: a later deployment goes live without it, "
            "before the new version answers"
        )
    others = [name for name in live.file_settings if name != "deploy.healthcheckPath"]
    lost = f". What it sets is lost unless the service's settings say the same: {', '.join(others)}" if others else ""
    return warning(Subject.RAILWAY_CONFIG_FILE, told + lost, MOVE_SETTINGS)


def _overlap(found: ServiceState) -> Finding:
    """A variable of the service may set it too, which is not checked: it would show every other variable."""
    if found.overlap_seconds is None:
        told = f"none is set: the old version stops at once, unless the variable {OVERLAP_VARIABLE} says otherwise"
        return warning(Subject.RAILWAY_OVERLAP, told, SET_OVERLAP)
    return ok(Subject.RAILWAY_OVERLAP, f"the old version serves on for {found.overlap_seconds} s")


async def _auto_deploy(project: Project, place: TargetConfig) -> list[Finding]:
    found = await project.services.railway_for(place).setup.auto_deploy(**_where(place))
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
    triggers = await project.services.railway_for(place).setup.triggers(**_where(place))
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
