"""Railway's tokens: each opens what its targets need and, as a project token, nothing else."""

from __future__ import annotations

from functools import partial

from local.doctor.findings import Check, Finding, Project, Subject, failed, ok, skipped, warning
from shared.clients.railway.client import Railway
from shared.clients.railway.setup import Token, TokenKind
from shared.core.target_config import RAILWAY_API, RailwayToken, TargetConfig
from shared.errors import SecretMissing, Unauthorized

NEW_TOKEN = "Make a new token on Railway, of the kind that signalbox.toml says, and give its secret a version with it."
SAY_KIND = "Say in signalbox.toml which kind it is: token in the table [railway]."
OWN_TOKEN = (
    "Give the secret a version with a project token of that environment, made in the settings of its project on "
    "Railway, under Tokens; each environment needs a secret of its own."
)
REPLACE_TOKEN = (
    "Replace it: make a project token for each environment in the settings of the project on Railway, under Tokens; "
    "put each into a secret of its own; name it in signalbox.toml as railway_token_secret of the environment; deploy; "
    "then delete the old token on Railway and destroy its versions. docs/configuration.md has the commands."
)
DROP_TOKEN = "Delete that token on Railway, and destroy the versions of the secret RAILWAY-API."


def checks(project: Project) -> list[Check]:
    if project.config is None:
        unread = partial(_unread, project)
        return [Check(subjects=(Subject.RAILWAY_TOKEN,), find=unread, refused=NEW_TOKEN)]
    tokens = [
        Check(
            subjects=(Subject.RAILWAY_TOKEN,),
            find=partial(_token, project, token, targets),
            refused=NEW_TOKEN,
            about=token.secret,
        )
        for token, targets in project.services.config.railway_tokens.items()
    ]
    left_over = Check(
        subjects=(Subject.RAILWAY_TOKEN,), find=partial(_left_over, project), refused=NEW_TOKEN, about=RAILWAY_API
    )
    return [*tokens, left_over]


async def _unread(_: Project) -> list[Finding]:
    return [skipped(Subject.RAILWAY_TOKEN, "signalbox.toml cannot be read")]


async def _token(project: Project, token: RailwayToken, targets: tuple[TargetConfig, ...]) -> list[Finding]:
    railway = project.services.railway_with(token)
    try:
        found = await railway.setup.token(token.kind)
    except Unauthorized:
        other: TokenKind = "project" if token.kind == "account" else "account"
        if not await _accepted(railway, other):
            raise
        return [_other_kind(project, token, other)]
    return [_too_wide(found, targets) if found.kind == "account" else _scope(found, targets)]


async def _accepted(railway: Railway, kind: TokenKind) -> bool:
    try:
        await railway.setup.token(kind)
    except Unauthorized:
        return False
    return True


def _other_kind(project: Project, token: RailwayToken, other: TokenKind) -> Finding:
    told = f"is a token of the kind {other}, and signalbox.toml says {token.kind}"
    in_the_table = token.secret == RAILWAY_API and project.services.config.railway.token == token.kind
    return failed(Subject.RAILWAY_TOKEN, told, SAY_KIND if in_the_table else OWN_TOKEN)


def _too_wide(token: Token, targets: tuple[TargetConfig, ...]) -> Finding:
    opens = ", ".join(token.workspaces) or "no workspace by name"
    needed = ", ".join(target.id for target in targets)
    told = f"an account or workspace token: it opens, and can delete, all that is in {opens}; needed is {needed}"
    return warning(Subject.RAILWAY_TOKEN, told, REPLACE_TOKEN)


def _scope(token: Token, targets: tuple[TargetConfig, ...]) -> Finding:
    scope = (token.project_id, token.environment_id)
    outside = [target.id for target in targets if (target.project_id, target.environment_id) != scope]
    if outside:
        told = f"opens the environment {token.environment_id} of the project {token.project_id}, and not"
        return failed(Subject.RAILWAY_TOKEN, f"{told} {', '.join(outside)}", OWN_TOKEN)
    return ok(Subject.RAILWAY_TOKEN, f"a project token of the environment of {', '.join(t.id for t in targets)}")


async def _left_over(project: Project) -> list[Finding]:
    """A wide token that stays in its secret when no target uses it any more can do as much harm as before."""
    services = project.services
    if not services.config.targets or RAILWAY_API in services.config.secrets:
        return []
    try:
        found = await services.railway_with(RailwayToken(RAILWAY_API, "account")).setup.token("account")
    except (SecretMissing, Unauthorized):
        return []
    opens = ", ".join(found.workspaces) or "no workspace by name"
    told = f"an account or workspace token of {opens}, which no target uses"
    return [warning(Subject.RAILWAY_TOKEN, told, DROP_TOKEN)]
