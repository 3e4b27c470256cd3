"""n8n: reachable, and the notification workflow active behind its token; told without running it."""

from __future__ import annotations

from functools import partial

from local.doctor.findings import Check, Finding, Project, Subject, failed, ok, skipped

ACTIVATE = "Run `signalbox workflows push`, and compare [n8n] in signalbox.toml with where the workflows are."
ASK_FOR_TOKEN = "Give the workflow's webhook header authentication: X-Webhook-Token, with the value of N8N-API."


def checks(project: Project) -> list[Check]:
    return [Check(subjects=(Subject.N8N_WORKFLOW,), find=partial(_workflow, project), refused=ASK_FOR_TOKEN)]


async def _workflow(project: Project) -> list[Finding]:
    if project.config is None:
        return [skipped(Subject.N8N_WORKFLOW, "signalbox.toml cannot be read")]
    if project.config.n8n is None or project.services.n8n is None:
        return [skipped(Subject.N8N_WORKFLOW, "signalbox.toml names no n8n")]
    path = project.config.n8n.notification
    if not await project.services.n8n.registered(path):
        return [failed(Subject.N8N_WORKFLOW, f"no active workflow at {path}", ACTIVATE)]
    return [ok(Subject.N8N_WORKFLOW, f"{path} is active, and asks for the token")]
