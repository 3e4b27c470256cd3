"""What to see to before Signalbox goes to work, after, and every month: docs/security-checklist.md, with what is known.

A box with subjects is ticked by what the doctor found; the others are a person's, with a command where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from local.doctor.findings import Finding, Subject


class Box(Struct, frozen=True, kw_only=True):
    text: str
    subjects: tuple[Subject, ...] = ()
    command: str = ""


BEFORE = (
    Box(
        text="The branch that is deployed is protected: required checks, a review, no force push (GitHub, *Rules*).",
        command="gh api repos/OWNER/NAME/rules/branches/main",
    ),
    Box(text="Few people have write access to the repository: all of them may deploy."),
    Box(
        text="The App has the permissions of docs/doctor.md, no others, and is installed on these repositories alone.",
        subjects=(Subject.GITHUB_PERMISSIONS, Subject.GITHUB_INSTALLATION),
    ),
    Box(
        text="The App's webhook is signed, and goes over checked https.",
        subjects=(Subject.GITHUB_WEBHOOK,),
    ),
    Box(
        text="Each environment has a project token of its own; no account token is in use or left over.",
        subjects=(Subject.RAILWAY_TOKEN,),
    ),
    Box(text="What signs webhooks and calls has 32 characters at least.", subjects=(Subject.SECRET,)),
    Box(text="Railway checks the health of a version before it serves.", subjects=(Subject.RAILWAY_HEALTH_CHECK,)),
    Box(
        text='`show_log` is as the repository\'s readers are: on a public one it is not "comment" by mistake.',
        command="grep -n show_log signalbox.toml",
    ),
    Box(
        text="The Workload Identity provider lets in this repository's environment and nothing else.",
        command="terraform -chdir=terraform plan -var-file=FILE",
    ),
    Box(text="A person gets the alerts: `alert_emails` in the .tfvars.", command="grep -n alert_emails FILE"),
)
AFTER = (
    Box(text="The set-up is well, from the first subject to the last.", subjects=tuple(Subject)),
    Box(
        text="From outside, only the webhooks answer, and they refuse unsigned requests.",
        command="signalbox smoke-test",
    ),
    Box(text="A stranger deploys nothing: `/deploy` by a user without write access gets a 😕."),
    Box(text="A rollback was tried, on a quiet day: `/rollback`, then `/deploy`."),
    Box(text="The stop was tried: `signalbox pause --reason test`, a merge that waits, `signalbox resume`."),
    Box(text="The person on call has read docs/incident-response.md."),
)
MONTHLY = (
    Box(text="No secret is older than its limit.", command="signalbox secrets status"),
    Box(text="Nothing that is pinned has a known vulnerability.", command="make audit"),
    Box(text="No secret has come into the repository.", command="make secret-scan"),
    Box(
        text="Who has write access, and who has a role in the project, is still right.",
        command="gh api repos/OWNER/NAME/collaborators",
    ),
    Box(
        text="Who read secrets is who should have: the audit log of Secret Manager.",
        command="gcloud logging read 'protoPayload.serviceName=\"secretmanager.googleapis.com\"' --freshness=30d",
    ),
    Box(
        text="Nothing is paused, locked or held that should not be; no dead letters.",
        command="signalbox runs; signalbox dead-letters list",
    ),
    Box(text="Terraform and the project are the same.", command="make plan TFVARS=FILE"),
    Box(text="The set-up is still well.", subjects=tuple(Subject)),
)
SECTIONS = {"Before": BEFORE, "After": AFTER, "Every month": MONTHLY}


def shown(found: Sequence[Finding] | None) -> Iterator[str]:
    """As lines of Markdown; without findings no box is ticked."""
    for title, boxes in SECTIONS.items():
        yield f"## {title}"
        yield ""
        for box in boxes:
            yield from _lines(box, found)
        yield ""


def _lines(box: Box, found: Sequence[Finding] | None) -> Iterator[str]:
    command = "signalbox doctor" if box.subjects else box.command
    about = [one for one in found or () if one.subject in box.subjects and one.state != "skipped"]
    bad = [one for one in about if one.state != "ok"]
    tick = "x" if about and not bad else " "
    yield f"- [{tick}] {box.text}{f' `{command}`' if command else ''}"
    for one in bad:
        yield f"  - {one.state}: {f'{one.subject} {one.about}'.rstrip()}: {one.detail}"
