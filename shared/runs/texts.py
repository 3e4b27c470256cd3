"""Every text people read: comments, descriptions, notifications, and what they say of a run."""

from __future__ import annotations

from shared.core.notices import Notice
from shared.core.reasons import Reason, stated
from shared.core.run import Deployment, Kind, Run, Stage, Status, Verdict
from shared.core.target import Target
from shared.runtime.escaping import code, code_block, line, lines, link, markdown
from shared.runtime.redaction import redact, shown_url

SHOWN_HISTORY = 60
"""Entries of the timeline in a comment, the newest: GitHub takes 65,535 characters. The console shows all."""
LONGEST_MESSAGE = 2000
LONGEST_PART = 32_768
"""Characters of a part of a comment, such as the timeline or the end of the log."""
LONGEST_CELL = 200
LONGEST_TITLE = 256
"""GitHub takes no longer ones."""

_HEADLINES = {
    Status.QUEUED: "⏳ queued for",
    Status.RUNNING: "🚂 deploying to",
    Status.WAITING: "🚂 deploying to",
    Status.SUCCEEDED: "✅ deployed to",
    Status.FAILED: "❌ not deployed to",
    Status.ROLLED_BACK: "↩️ rolled back on",
    Status.CANCELLED: "⏹️ cancelled on",
    Status.SUPERSEDED: "⏭️ superseded on",
    Status.NOT_DEPLOYED: "▫️ nothing to deploy to",
}
_RETURNS = {
    Status.SUCCEEDED: "↩️ rolled back",
    Status.ROLLED_BACK: "↩️ rolled back",
    Status.FAILED: "❌ not rolled back",
    Status.SUPERSEDED: "⏭️ not rolled back",
}
_VERDICTS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.INCONCLUSIVE: "❔", Verdict.NOT_RUN: "▫️"}
_SEVERITIES = {
    "rollback_failed": "critical",
    "failed": "error",
    "rolled_back": "error",
    "health_lost": "error",
    "merge_unread": "error",
    "webhooks_lost": "error",
    "repository_replaced": "error",
    "repository_renamed": "warning",
    "secret_expiring": "warning",
    "drifted": "warning",
    "unverified": "critical",
    "needs_approval": "warning",
}


def run_marker(run_id: str) -> str:
    """Hidden in the run's comment, so that it is found and edited in place."""
    return f"<!-- signalbox:run:{run_id} -->"


def reply_marker(to: int | str) -> str:
    """`to`: the id of a comment, or of a label being set."""
    return f"<!-- signalbox:reply:{to} -->"


def headline(run: Run) -> str:
    target_config = f"**{run.service}/{run.environment}**"
    if run.status is Status.QUEUED:
        return f"{_HEADLINES[Status.QUEUED]} {target_config}"
    if run.kind is Kind.ROLLBACK:
        if run.unasked and run.status is Status.SUCCEEDED:
            unseen = run.verification is not None and run.verification.unseen
            return f"✅ live, not checked, on {target_config}" if unseen else f"✅ healthy again on {target_config}"
        return f"{_RETURNS.get(run.status, '↩️ rolling back')} to an earlier version on {target_config}"
    if run.reason is Reason.TARGET_HELD:
        return f"⏸️ held back from {target_config}"
    if _stuck(run) or run.left_unverified:
        return f"🚨 {'unhealthy, and the rollback failed on' if _stuck(run) else _left(run)} {target_config}"
    if run.status is Status.FAILED and run.error is not None and run.error.stage is Stage.VERIFY and not run.rollback:
        return f"❔ deployed, but not verified, on {target_config}"
    if run.stage is Stage.ROLLBACK or (run.rollback is not None and not run.status.terminal):
        return f"↩️ rolling back on {target_config}"
    return f"{_HEADLINES[run.status]} {target_config}"


def comment(run: Run, console_url: str, *, show_log: bool = True) -> str:
    """The run's comment on its pull request, as the run is now; with the end of the log, or where that is."""
    parts = [f"### {headline(run)}", _who(run), *_where(run), *_unchecked(run), *_why(run)]
    if run.rollback is not None and run.rollback.to is not None:
        parts.append(_way_back(run))
    if run.deployment is not None and run.deployment.health_check_lost:
        parts.append(_lost_health_check(run.deployment))
    if run.next_up:
        parts.append(f"Next: {run.next_up}.")
    parts.append(_timeline(run))
    if run.verification is not None:
        checks = "\n".join(
            f"- {_VERDICTS[c.verdict]} {_foreign(c.name)}: {_foreign(c.detail, run)}" for c in run.verification.checks
        )
        parts.append(f"Latest checks:\n{checks}")
    if run.error is not None and run.error.log_tail:
        parts.append(_end_of_log(run) if show_log else _elsewhere(console_url))
    parts.append(f"[{run.id}]({run_url(run.id, console_url)})" if console_url else f"`{run.id}`")
    # Each by itself: of a key that is cut off, everything to the end of the text is masked.
    return "\n\n".join((*(redact(part, LONGEST_PART) for part in parts), run_marker(run.id)))


def _end_of_log(run: Run) -> str:
    tail = code_block("\n".join(_log_tail(run)))
    return f"<details><summary>End of the log</summary>\n\n{tail}\n</details>"


def _elsewhere(console_url: str) -> str:
    where = "in the console" if console_url else "in the document of the run (`signalbox runs --json`)"
    return f"The end of the log is {where}, and on Railway."


def _stuck(run: Run) -> bool:
    """The rollback was begun, or had to be, and failed: a person must look."""
    return run.status is Status.FAILED and run.rollback is not None and run.rollback.needed is not False


def _left(run: Run) -> str:
    """What may be live though it was not verified, as far as the run knows."""
    if run.error is None or _is_bad(run):
        return "unhealthy, and still live on"
    return "live, but not verified, on" if run.error.stage is Stage.VERIFY else "maybe live, and not verified, on"


def _is_bad(run: Run) -> bool:
    return run.error is not None and run.error.code in (Reason.UNHEALTHY, Reason.WRONG_VERSION, Reason.DEPLOY_CRASHED)


def _left_unverified(run: Run) -> str:
    """What holds after a run gave up on a version of its own, and the next step."""
    what = "The version is still live." if _is_bad(run) else "This version may be live, and it was not verified."
    return (
        f"{what} The target is held: no merge is deployed to it automatically until a version is verified. Check the "
        "service. If it is healthy, comment `/deploy` here to verify it; otherwise comment `/rollback`."
    )


def _who(run: Run) -> str:
    commit = f"Commit `{run.commit_sha[:7]}`, requested" if run.commit_sha else "Requested"
    if run.trigger.source == "health":
        return "Started by Signalbox: the version became unhealthy soon after it was verified."
    if run.trigger.source == "replay":  # an operator's name there, which may be a stranger's here
        return f"{commit} again by {code(run.trigger.actor)}, attempt {run.attempt}.{_force(run)}"
    if run.trigger.source == "promotion":
        verified_by = code(run.trigger.id.split(" ")[0])
        return f"{commit} by @{run.trigger.actor}, and promoted after {verified_by} verified it.{_force(run)}"
    label = ", who set the label" * (run.trigger.source == "label")
    return f"{commit} by @{run.trigger.actor}{label}.{_force(run)}"


def _unchecked(run: Run) -> list[str]:
    if run.unchecked is None:
        return []
    return [f"⚠️ It was merged although its checks had not passed: {_foreign(run.unchecked)}"]


def _where(run: Run) -> list[str]:
    address = _address(run)
    return [f"Address: {link(address)}"] if address else []


def _address(run: Run) -> str:
    """Where the service answers; "" while the run has not looked at it, and for a private service."""
    known = run.address or (run.deployment.url if run.deployment else None)
    return shown_url(known) if known else ""


def _force(run: Run) -> str:
    return f" Forced: {_foreign(run.trigger.force)}" if run.trigger.force else ""


def _why(run: Run) -> list[str]:
    """The reason and the next step; after a rollback, what holds now."""
    if run.reason is not None:
        return [f"**`{run.reason}`** {_foreign(run.history[-1].message, run)}\n\n{run.reason.advice}"]
    if run.error is None:
        return []
    said = run.error.message.removeprefix(f"{run.error.code}:").lstrip()
    parts = [f"**`{run.error.code}`** {_foreign(said, run)}\n\n{run.error.code.advice}"]
    if _stuck(run) and run.rollback is not None and run.rollback.reason is not run.error.code:
        parts.append(f"The rollback was started because of **`{run.rollback.reason}`**. {_locked(run)}")
    if run.left_unverified:
        parts.append(_left_unverified(run))
    if run.status is Status.ROLLED_BACK:
        parts.append(
            "The commit is quarantined here. While the target is held, a merged fix is not deployed automatically: "
            "comment `/deploy` on its pull request. `/deploy --force <reason>` here deploys this commit again."
        )
    return parts


def refusal(reason: Reason, message: str, usage: str = "") -> str:
    """The reply to a command that was not carried out; `message` is Markdown, in which what is foreign is escaped."""
    shown = f"\n\nUsage: `{usage}`" if usage else ""
    return redact(f"**`{reason}`** {message}{shown}\n\n{reason.advice}")


def description(run: Run) -> str:
    """At most 140 characters, for a GitHub deployment status."""
    text = stated(run.error.code, run.error.message) if run.error else run.history[-1].message
    return _short(text, 140)


def run_url(run_id: str, console_url: str) -> str:
    return f"{console_url.rstrip('/')}/runs/{run_id}" if console_url else ""


def notification(run: Run, notice: Notice, console_url: str) -> dict[str, object]:
    """What n8n gets for an event of a run; `key` is the same each time this one is sent."""
    pull, name = run.pull_request, notice.event
    reason = run.error.code if run.error else run.reason
    said = line(run.history[-1].message) if run.reason else None
    return {
        "key": f"{run.id}:{notice.name}",
        "event": name,
        "attempt": run.attempt,
        "severity": _severity(run, name),
        "text": redact(line(_sentence(run))),
        "run_id": run.id,
        "status": run.status,
        "repository": run.repository,
        "service": run.service,
        "environment": run.environment,
        "pull_request": {"number": pull.number, "title": _short(pull.title, LONGEST_TITLE), "url": pull.url}
        if pull
        else None,
        "commit_sha": run.commit_sha,
        "deployment_id": run.watched_deployment,
        "actor": run.trigger.actor,
        "reason": reason,
        "message": redact(line(run.error.message)) if run.error else said,
        "next_step": _next_step(run),
        "log_tail": _log_tail(run),
        "address": _address(run),
        "url": run_url(run.id, console_url) or (pull.url if pull else ""),
    }


def _severity(run: Run, event: str) -> str:
    """A user's own rollback that went well is no error."""
    by_hand = run.kind is Kind.ROLLBACK and run.status is Status.SUCCEEDED
    if run.left_unverified and event in ("failed", "unverified"):
        return "critical"
    if event == "needs_approval" and run.rollback is not None:  # until a user approves, the bad version is live
        return "critical"
    return "info" if by_hand else _SEVERITIES.get(event, "info")


def _next_step(run: Run) -> str | None:
    if run.reason is not None:
        return run.reason.advice
    if run.error is None:
        return f"{run.next_up[0].upper()}{run.next_up[1:]}." if run.next_up else None
    advice = run.error.code.advice
    if _stuck(run) and "`/unlock`" not in advice:
        advice = f"{advice} {_locked(run)}"
    return f"{_left_unverified(run)} {advice}" if run.left_unverified else advice


def _locked(run: Run) -> str:
    """That the target is, with the next step where the reason has another."""
    known = run.error is not None and "`/unlock`" in run.error.code.advice
    return (
        "The target is locked."
        if known
        else "The target is locked: check which version is live, then comment `/unlock`."
    )


def _sentence(run: Run) -> str:
    """What happened, to what, by whom: plain text for people who see nothing else."""
    pull = f" · #{run.pull_request.number} {run.pull_request.title}" if run.pull_request else ""
    commit = f" · {run.commit_sha[:7]}" if run.commit_sha else ""
    reason = f" ({run.error.code})" if run.error else ""
    last = run.history[-1].message
    last = last.removeprefix(f"{run.error.code}:").lstrip() if run.error else last
    what = f"{headline(run).replace('**', '')}{reason}: {last}"
    address = f" · {_address(run)}" if _address(run) else ""
    return f"{what}{pull}{commit} · {run.trigger.actor}{address}"


def target_notification(target: Target, notice: Notice) -> dict[str, object]:
    """What n8n gets when something about a target changes."""
    name, about = notice.event, notice.occurrence
    return {
        "key": f"{target.id}:{notice.name}",
        "event": name,
        "severity": _SEVERITIES.get(name, "info"),
        "text": redact(line(f"{target.id} {_news(target, name, about)}{_at(target, name)}")),
        "target": target.id,
        "commit_sha": _serving_commit(target),
        "url": target.address or "",
        "address": shown_url(target.address) if target.address else "",
    }


def _at(target: Target, event: str) -> str:
    """The service's address, where the news is of the service and does not name it already."""
    address = shown_url(target.address) if target.address else ""
    about_service = event in {"health_lost", "health_regained", "drifted", "drift_ended"}
    return f" · {address}" if about_service and address and address not in target.health.detail else ""


def pull_request_analysis(repository: str, number: int, head_sha: str) -> dict[str, object]:
    """What n8n gets when a pull request is to be analysed; it reads the rest from GitHub."""
    return {
        "key": f"{repository}#{number}@{head_sha}:analysis",
        "event": "pull_request",
        "repository": repository,
        "pull_request": {"number": number, "head_sha": head_sha},
    }


def drift(target: Target) -> str | None:
    """What serves instead of the version that was verified last, and what to do; None when it is that version."""
    serving, current = target.serving, target.current
    if serving.drifting_since is None or current is None:
        return None
    commit = f" of {serving.commit_sha[:7]}" if serving.commit_sha else ""
    shown = f"deployment {serving.deployment_id[:8]}{commit} is live" if serving.deployment_id else "nothing is live"
    # What crashed, or ended, was that version itself: without its name, `/rollback` goes to the one before it.
    named = "" if serving.deployment_id else f" to {current.commit_sha[:7]}"
    meant = "If that is intended, deploy it through a pull request too, so that it is verified. " * bool(
        serving.version
    )
    return (
        f"has drifted: {shown}, and {current.commit_sha[:7]} was verified last. {meant}"
        f"To go back to the verified version, comment `/rollback{named}` on a pull request."
    )


def held_back(target: Target) -> str:
    """What `/deploy` would bring, or lifting the hold; empty where nothing was held back."""
    if not target.held_back:
        return ""
    names = (f"#{one.number} {_foreign(one.title)}" if one.number else one.run_id for one in target.held_back)
    listed = "\n".join(f"- {name} (`{one.commit_sha[:7]}`)" for name, one in zip(names, target.held_back, strict=True))
    return f"Merged and not deployed here yet, newest first; `/deploy` on the newest deploys them all:\n{listed}"


def _serving_commit(target: Target) -> str | None:
    if target.serving.drifting_since is not None:
        return target.serving.commit_sha
    return target.current.commit_sha if target.current else None


def _news(target: Target, event: str, about: str) -> str:
    """What happened, and for an alarm the next step. By the time that it is told it may be over."""
    match event:
        case "health_lost":
            return f"is unhealthy: {target.health.detail}"
        case "health_regained":
            return f"is healthy again: {target.health.detail}"
        case "drifted" | "drift_ended":
            over = "runs the last verified version again"
            now = drift(target) or "had drifted from the recorded version, and no longer does"
            return now if event == "drifted" else over
        case "merge_unread":
            return (
                f"cannot deploy pull request #{about}, which was merged: GitHub refuses to show it, or its answer "
                f"cannot be read. Read the log of the function sweep; comment `/deploy` on #{about} to try again."
            )
        case "repository_renamed" | "repository_replaced":
            return _repository_news(target, event, about)
        case "webhooks_lost":
            reason = target.deaf.reason if target.deaf else "they stopped, and have resumed"
            return (
                f"receives no webhooks from GitHub: {reason}. "
                "Run `signalbox doctor`, and check Recent Deliveries in the GitHub App's settings."
            )
        case "secret_expiring":
            name, _, days = about.partition(" ")
            return (
                f"uses the secret {name}, made on {days[:10]}: it must be replaced after 90 days. "
                f"Run `signalbox secrets rotate {name}`."
            )
        case "webhooks_regained":
            return "receives GitHub's webhooks again"
    raise AssertionError(f"no text for {event}")


def _repository_news(target: Target, event: str, about: str) -> str:
    """`about`: the new name, or the id of the repository that has the old one."""
    if event == "repository_renamed":
        return (
            f"is deployed from {about}: its repository was renamed on GitHub. "
            f"Write {about} in signalbox.toml; until then deployments go on."
        )
    own = target.repository.name if target.repository else "the one that was deployed"
    return (
        f"is not deployed from the repository that has its name on GitHub now: that one is not {own}. "
        f"To deploy from it, write id = {about} for the repository in signalbox.toml."
    )


def _way_back(run: Run) -> str:
    rollback = run.rollback
    if rollback is None or rollback.to is None:
        return ""
    commit = f"`{rollback.to.commit_sha[:7]}`"
    if run.unasked and rollback.needed is False:
        return f"The version {commit} is live, and nothing was rolled back."
    if not rollback.needed:
        return f"The previous version {commit} stayed live: there was nothing to roll back."
    done = "was restored" if run.status in (Status.ROLLED_BACK, Status.SUCCEEDED) else "is to be restored"
    done = "was not restored" if _stuck(run) else done
    rebuilt = " It is rebuilt with today's variables: Railway no longer keeps its image." * (
        rollback.method == "rebuild"
    )
    migrated = run.deployment is not None and run.deployment.migrates
    warning = " ⚠️ The deployment ran a pre-deploy command (a migration?), which is not undone." * migrated
    return f"The last verified version {commit} {done}.{rebuilt}{warning}"


def _lost_health_check(deployment: Deployment) -> str:
    return (
        f"⚠️ Railway no longer checks this service before a version goes live: it checked the version before at "
        f"{code(deployment.health_check_before or '')}, and this one nowhere. "
        "Set the health check path in the service's settings in Railway's dashboard, in `.railway/railway.ts`, or "
        "with `serviceInstanceUpdate` of Railway's API. If it stands in `railway.json` or `railway.toml`: Railway "
        "reads these files until 2026-12-01, and not after."
    )


def _timeline(run: Run) -> str:
    shown = run.history[-SHOWN_HISTORY:]
    rows = "\n".join(
        f"| {entry.at:%H:%M:%S} | {entry.stage} | {entry.status} | {_foreign(entry.message, run, LONGEST_CELL)} |"
        for entry in shown
    )
    return f"| at (UTC) | stage | status | what |\n|---|---|---|---|\n{rows}"


def _log_tail(run: Run) -> list[str]:
    """The lines together, since a key spans several."""
    return (
        redact(lines("\n".join(run.error.log_tail)), LONGEST_PART).split("\n")
        if run.error and run.error.log_tail
        else []
    )


def _foreign(text: str, run: Run | None = None, longest: int = LONGEST_MESSAGE) -> str:
    """What was written elsewhere, or contains it, inside a line of a comment; the run's own address is a link there."""
    return markdown(_short(text, longest), own=_address(run) if run else "")


def _short(text: str, longest: int) -> str:
    """On one line, masked before it is cut, since half a secret is not recognised."""
    return redact(line(text))[:longest]
