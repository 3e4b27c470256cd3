"""signalbox try: be one of the people of `signalbox up`, and have things go wrong there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec

from local.cli import output
from local.cli.called import command
from local.cli.opening import folder
from local.operating.workplace import people_of
from local.world.people import CHECK, FATES, REVIEWS
from shared.clients.http import HttpClient
from shared.errors import SignalboxError, Unavailable, UnknownOutcome

CONCLUSIONS = ("success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required", "stale")
_by = click.option("--by", default="ada", show_default=True, help="Who does it: ada, grace or mallory.")
_target = click.option("--target", help="SERVICE/ENVIRONMENT; by default the first of signalbox.toml.")
_pull = click.argument("number", type=click.IntRange(1))


@click.group("try")
@folder
@click.option("--repository", help="OWNER/NAME; by default that of the first target of signalbox.toml.")
@click.pass_context
def try_out(ctx: click.Context, folder: Path, repository: str | None) -> None:
    """Make something happen in the world of `signalbox up`, from another terminal.

    ada is an admin of the repositories there, grace may write, mallory may only read.
    """
    ctx.obj = (folder, f"/repositories/{repository}" if repository else "")


@try_out.command("targets")
def targets() -> None:
    """What is deployed where, and what is live there."""
    for one in _ask("GET", "/targets"):
        live = one["live"]
        shown = f"{live['commit'][:7]} is live ({live['status'].lower()})" if live else "nothing is live"
        output.echo(f"{one['target']}  {one['repository']} {one['branch']}  {shown}")


@try_out.command("fail-next")
@click.argument("how", type=click.Choice(list(FATES)), default="unhealthy")
@_target
def fail_next(how: str, target: str | None) -> None:
    """Have the next version fail, by default by being unhealthy."""
    planned = _ask("POST", "/next", how=how, target=target)
    output.echo(f"the next deployment to {planned['target']}: {how}")


@try_out.command("crash")
@_target
def crash(target: str | None) -> None:
    """Crash what is live."""
    output.echo(f"crashed: deployment {_ask('POST', '/crash', target=target)['crashed'][:8]}")


@try_out.command("approve-deployment")
@_target
def approve_deployment(target: str | None) -> None:
    """Approve, on Railway, the deployment that waits for it (`fail-next needs-approval`)."""
    output.echo(f"approved: deployment {_ask('POST', '/approve-deployment', target=target)['approved'][:8]}")


@try_out.command("pulls")
def pulls() -> None:
    """The pull requests."""
    for one in _ask("GET", "/pulls", of_repository=True):
        output.echo(f"#{one['number']}  {'merged' if one['merged'] else one['state']}  {one['title']}")


@try_out.command("open")
@click.argument("title", default="A change")
@click.option("--base", help="Branch to merge into; by default the one that is deployed.")
@click.option("--file", "files", multiple=True, default=["src/app.py"], show_default=True, help="What it changes.")
@_by
def open_pull(title: str, base: str | None, files: tuple[str, ...], by: str) -> None:
    """Open a pull request. Its check passes at once, unless `slow-ci` came before."""
    opened = _ask("POST", "/pulls", of_repository=True, title=title, base=base, files=files, by=by)
    output.echo(f"opened #{opened['number']}: {title}")


@try_out.command("push")
@_pull
def push(number: int) -> None:
    """Push another commit to a pull request."""
    output.echo(f"pushed {_ask('POST', f'/pulls/{number}/push', of_repository=True)['sha'][:7]} to #{number}")


@try_out.command("merge")
@_pull
@_by
def merge(number: int, by: str) -> None:
    """Merge a pull request by hand."""
    merged = _ask("POST", f"/pulls/{number}/merge", of_repository=True, by=by)
    output.echo(f"merged #{number} as {merged['sha'][:7]}")


@try_out.command("close")
@_pull
def close(number: int) -> None:
    """Close a pull request without a merge."""
    _ask("POST", f"/pulls/{number}/close", of_repository=True)
    output.echo(f"closed #{number}")


@try_out.command("comment")
@_pull
@click.argument("body")
@click.option("--by", default="grace", show_default=True, help="Who writes it: ada, grace or mallory.")
def comment(number: int, body: str, by: str) -> None:
    """Comment on a pull request, such as "/deploy"."""
    _ask("POST", f"/pulls/{number}/comments", of_repository=True, body=body, by=by)
    output.echo(f"{by} commented on #{number}: {body}")


@try_out.command("comments")
@_pull
def comments(number: int) -> None:
    """What stands on a pull request."""
    for body in _ask("GET", f"/pulls/{number}/comments", of_repository=True):
        output.echo(f"{body}\n")


@try_out.command("label")
@_pull
@click.argument("name")
@click.option("--remove", is_flag=True, help="Take it off again.")
@_by
def label(number: int, name: str, remove: bool, by: str) -> None:
    """Put a label on a pull request, such as the policy's deploy_label."""
    now = _ask("POST", f"/pulls/{number}/labels", of_repository=True, name=name, remove=remove, by=by)
    output.echo(f"labels of #{number}: {', '.join(now['labels']) or 'none'}")


@try_out.command("review")
@_pull
@click.argument("state", type=click.Choice(REVIEWS))
@click.option("--by", default="grace", show_default=True, help="Who reviews: ada, grace or mallory.")
def review(number: int, state: str, by: str) -> None:
    """Review a pull request; `rules --review` has the branch ask for one."""
    _ask("POST", f"/pulls/{number}/reviews", of_repository=True, state=state, by=by)
    output.echo(f"{by} reviewed #{number}: {state}")


@try_out.command("check")
@_pull
@click.argument("conclusion", type=click.Choice((*CONCLUSIONS, "running")))
@click.option("--name", default=CHECK, show_default=True)
def check(number: int, conclusion: str, name: str) -> None:
    """Report a check of a pull request's head."""
    concluded = None if conclusion == "running" else conclusion
    _ask("POST", f"/pulls/{number}/checks", of_repository=True, name=name, conclusion=concluded)
    output.echo(f"check {name} of #{number}: {conclusion}")


@try_out.command("slow-ci")
@click.option("--begins", default=5.0, show_default=True, help="Seconds after the push until the check is there.")
@click.option("--takes", default=15.0, show_default=True, help="Seconds that it takes then.")
@click.option("--ends", type=click.Choice(CONCLUSIONS), default="success", show_default=True)
@click.option("--pull", type=click.IntRange(1), help="Run it again on this one's head now; else on the next push.")
def slow_ci(begins: float, takes: float, ends: str, pull: int | None) -> None:
    """Have CI begin late and take its time."""
    _ask("POST", "/slow-ci", of_repository=True, begins=begins, takes=takes, ends=ends, pull=pull)
    output.echo(f"CI of {f'#{pull}' if pull else 'the next push'} begins after {begins:g} s, takes {takes:g} s: {ends}")


@try_out.command("rules")
@click.option("--review", is_flag=True, help="Ask for an approving review.")
@click.option("--check", "checks", multiple=True, help="Ask for this check; may be given more than once.")
@click.option("--branch", help="By default the one that is deployed.")
def rules(review: bool, checks: tuple[str, ...], branch: str | None) -> None:
    """What the branch asks for from now on, before it lets anything be merged."""
    ruled = _ask("POST", "/rules", of_repository=True, review=review, checks=list(checks) or None, branch=branch)
    asked = [*(["an approving review"] if review else []), *checks]
    output.echo(f"{ruled['branch']} asks for {', '.join(asked) or 'nothing new'}")


def _ask(method: str, path: str, *, of_repository: bool = False, **body: Any) -> Any:
    """What is answered. One line and exit code 1 where it is refused, or there is no `signalbox up`."""
    kept, repository = click.get_current_context().obj
    try:
        return asyncio.run(_sent(people_of(kept), method, f"{repository if of_repository else ''}{path}", body))
    except (Unavailable, UnknownOutcome) as error:
        told = f"`{command()} up` does not answer: is it running? Start it, and try again. ({error})"
        raise click.ClickException(told) from error
    except SignalboxError as error:
        raise click.ClickException(str(error)) from error


async def _sent(people: str, method: str, path: str, body: dict[str, Any]) -> Any:
    given = {name: value for name, value in body.items() if value is not None or name == "conclusion"}
    async with HttpClient(people) as client:
        answer = await client.send(method, path, changes=method == "POST", json=given if method == "POST" else None)
    said = msgspec.json.decode(answer.content)
    if not answer.is_success:
        raise click.ClickException(said["error"])
    return said
