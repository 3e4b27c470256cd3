"""signalbox replay: a finished run is attempted again."""

from __future__ import annotations

import getpass
from datetime import timedelta
from pathlib import Path

import click

from local.cli import output
from local.cli.called import command
from local.cli.opening import Duration, at_place, folder
from local.cli.redeliver import redeliver
from local.cli.runs import find
from local.operating.workplace import Place
from shared.core.outcome import Fail, Message
from shared.core.pipeline import Terms, Transition
from shared.core.policy import Policy
from shared.core.reasons import Reason, stated
from shared.core.replay import Request
from shared.core.replay import replay as attempt_again
from shared.core.run import Run, Stage
from shared.core.target import Target
from shared.errors import Conflict
from shared.runtime.envelope import encode
from shared.runtime.ports import Create, Update
from shared.runtime.update import COLLISIONS, pause

STAGES = [stage.value for stage in Stage if stage is not Stage.DONE]


@click.command()
@click.argument("run", required=False)
@click.option(
    "--from",
    "stage",
    type=click.Choice(STAGES),
    help="Where to begin. Default: where the run failed; after a rollback, at the deployment.",
)
@click.option("--force", metavar="REASON", help="Deploy a quarantined commit anyway, for this reason.")
@click.option("--since", type=Duration(), hidden=True)
@click.option("--subscription", hidden=True)
@folder
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_context
def replay(
    context: click.Context,
    run: str | None,
    stage: str | None,
    force: str | None,
    since: timedelta | None,
    subscription: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Attempt the finished run RUN again; its history is kept.

    Nothing is done twice: deployments are looked for first, and each attempt sends its notifications once.
    """
    if run is None and since is not None and subscription is not None and not stage and not force:
        output.echo("`signalbox replay --since` is now `signalbox redeliver`; this form goes on working", err=True)
        context.invoke(redeliver, subscription=subscription, since=since, folder=folder, as_json=as_json)
        return
    if run is None or since is not None or subscription is not None:
        raise click.UsageError("give a RUN (with --from, --force); `signalbox redeliver` delivers messages again")
    request = Request(by=getpass.getuser(), stage=Stage(stage) if stage else None, force=force)
    begun = at_place(folder, lambda place: _attempt(place, run, request))
    if as_json:
        output.as_json(begun)
    else:
        output.echo(
            f"{begun.id}: attempt {begun.attempt} begins at {begun.stage}; follow it with: {command()} show {begun.id}"
        )


async def _attempt(place: Place, id: str, request: Request) -> Run:
    """Save the new attempt, then publish its first message; the sweep does so if this process dies in between."""
    wanted = (await find(place, id)).id
    for collision in range(COLLISIONS):
        await pause(collision)
        transition = await _try(place, wanted, request)
        if transition is not None:
            for message in transition.messages:
                await place.bus.publish(message.stage, encode(message), _attributes(message))
            return transition.run
    raise click.ClickException(f"{wanted} keeps changing; try again")


async def _try(place: Place, id: str, request: Request) -> Transition | None:
    """None when another writer came in between."""
    found = await place.store.get(Run, id)
    if found is None:
        raise click.ClickException(f"there is no run {id}")
    run = found.document
    held = await place.store.get(Target, run.target)
    target = held.document if held else Target(id=run.target)
    configured = place.config.target(run.target)
    terms = Terms(place.clock.now(), configured.policy if configured else Policy(), place.pace)
    begun = attempt_again(run, target, request, terms)
    if isinstance(begun, Fail):
        quarantined = begun.code is Reason.QUARANTINED
        advice = "Deploy it anyway with --force REASON." if quarantined else begun.code.advice
        raise click.ClickException(f"{stated(begun.code, begun.message)}. {advice}")
    writes: list[Create | Update] = [Update(begun.run, found.version)]
    if begun.target is not None and begun.target != target:
        writes.append(Update(begun.target, held.version) if held else Create(begun.target))
    try:
        await place.store.commit(*writes)
    except Conflict:
        return None
    return begun


def _attributes(message: Message) -> dict[str, str]:
    return {"stage": message.stage, "run_id": message.run_id or ""}
