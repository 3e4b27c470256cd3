"""n8n: reachable, and each workflow of signalbox.toml active behind its token; told without running it."""

from __future__ import annotations

from functools import partial

from local.doctor.findings import Check, Finding, Project, Subject, failed, ok, skipped

ACTIVATE = "Run `signalbox workflows push`, and compare [n8n] in signalbox.toml with where the workflows are."
ASK_FOR_TOKEN = (
    "Run `signalbox workflows push`: the workflow's webhook needs JWT authentication, with N8N-API as its secret."
)


def checks(project: Project) -> list[Check]:
    """One for each workflow: what is wrong with one hides nothing of another."""
    configured = project.config.n8n if project.config else None
    return [
        Check(
            subjects=(Subject.N8N_WORKFLOW,),
            find=partial(_workflow, project, name),
            refused=ASK_FOR_TOKEN,
            about=name,
        )
        for name in (configured.paths if configured else ("",))
    ]


async def _workflow(project: Project, name: str) -> list[Finding]:
    if project.config is None:
        return [skipped(Subject.N8N_WORKFLOW, "signalbox.toml cannot be read")]
    if project.config.n8n is None or project.services.n8n is None:
        return [skipped(Subject.N8N_WORKFLOW, "signalbox.toml names no n8n")]
    path = project.config.n8n.paths[name]
    if not await project.services.n8n.registered(path):
        return [failed(Subject.N8N_WORKFLOW, f"no active workflow at {path}", ACTIVATE)]
    return [ok(Subject.N8N_WORKFLOW, f"{path} is active, and asks for the token")]
