"""What can happen to a pull request, each with how it should end. `signalbox demo --list` shows them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from msgspec import Struct

from local.demo.driver import PREVIOUS_COMMIT, Scene
from local.emulation.host import Layout
from local.world.faults import Fault
from local.world.refusals import PASSING_REFUSALS
from local.world.vendors import REPOSITORY
from shared.core.reasons import Reason
from shared.core.run import Run, Stage, Status

Play = Callable[[Scene], Awaitable[None]]


class Scenario(Struct, frozen=True, kw_only=True):
    """A story with its ending; `play` acts it and states what it expects."""

    name: str
    summary: str
    play: Play
    bake: float = 1.0
    settle: float = 0.0
    verify_deadline: float = 90.0
    auto_deploy: bool = False
    layout: Layout = "one target"
    copies: int = 1
    reachable: bool = True
    """Whether the health probe can reach the service at all."""


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, summary: str, **options: float | bool | str) -> Callable[[Play], Play]:
    def register(play: Play) -> Play:
        SCENARIOS[name] = Scenario(name=name, summary=summary, play=play, **options)  # type: ignore[arg-type]
        return play

    return register


@scenario("happy", "a merged pull request is deployed, verified and announced")
async def _happy(scene: Scene) -> None:
    number = scene.open_pull_request()
    sha = scene.merge(number)
    run = await scene.ended()
    _expect_deployed(scene, run, sha)
    scene.expect_equal("comments on the pull request", len(scene.status_comments(number)), 1)


@scenario("command", "/deploy on an open pull request: gate, merge, deploy")
async def _command(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.comment(number, "/deploy production")
    run = await scene.ended()
    await scene.quiet()
    scene.expect_equal("merges by us", len(scene.github.merges), 1)
    _expect_deployed(scene, run, scene.github.merges[0][2] if scene.github.merges else "")
    scene.expect_equal("runs, the merge's own webhook notwithstanding", len(await scene.runs()), 1)
    scene.expect_equal("reactions to the command", [reaction[2] for reaction in scene.github.reactions], ["eyes"])


@scenario("label", "a label asks for it: merged when the check has passed, and deployed")
async def _label(scene: Scene) -> None:
    number = scene.open_pull_request(check=None)
    scene.label(number, "ship it")
    await scene.until(lambda runs: runs[-1].stage is Stage.MERGE and runs[-1].status is Status.WAITING)
    scene.expect_equal("merges before the check has passed", len(scene.github.merges), 0)
    scene.report_check(number, "success")
    run = await scene.ended()
    await scene.quiet()
    scene.expect_equal("requested by", run.trigger.actor, "grace")
    _expect_deployed(scene, run, scene.github.merges[0][2] if scene.github.merges else "")
    scene.expect_equal("runs, the merge's own webhook notwithstanding", len(await scene.runs()), 1)


@scenario("unhealthy", "live, but the health check fails: rolled back")
async def _unhealthy(scene: Scene) -> None:
    scene.plan(health="failing")
    scene.merge(scene.open_pull_request())
    await _expect_rolled_back(scene, await scene.ended(), Reason.UNHEALTHY)


@scenario("wrong-version", "healthy, but it is the old commit that answers: rolled back", verify_deadline=3.0)
async def _wrong_version(scene: Scene) -> None:
    scene.plan(shows_commit="previous")
    scene.merge(scene.open_pull_request())
    await _expect_rolled_back(scene, await scene.ended(), Reason.WRONG_VERSION)


@scenario(
    "prober-blind",
    "the probe reaches nothing: inconclusive, told, not rolled back",
    verify_deadline=3.0,
    reachable=False,
)
async def _prober_blind(scene: Scene) -> None:
    sha = scene.merge(scene.open_pull_request())
    run = await scene.ended()
    _expect_failed(scene, run, Reason.VERIFY_INCONCLUSIVE)
    scene.expect_equal("rollbacks", len(scene.railway.rollbacks), 0)
    scene.expect_equal("serving", scene.serving_commit, sha)
    scene.expect_equal("notifications `unverified`", scene.told("unverified"), 1)
    scene.expect("it waited before it gave up", any(entry.status is Status.WAITING for entry in run.history))


@scenario("build-fails", "the build fails: nothing to roll back, the previous version is confirmed")
async def _build_fails(scene: Scene) -> None:
    scene.plan(build="fail", build_log=("npm ci", "src/cart.ts:12: error TS2304: cannot find name 'total'"))
    number = scene.open_pull_request()
    scene.merge(number)
    run = await scene.ended()
    _expect_failed(scene, run, Reason.BUILD_FAILED)
    scene.expect("the end of the build log is kept", bool(run.error and any("TS2304" in s for s in run.error.log_tail)))
    scene.expect("and shown on the pull request", any("TS2304" in body for body in scene.status_comments(number)))
    scene.expect_equal("rollbacks", len(scene.railway.rollbacks), 0)
    scene.expect_equal("serving the previous commit", scene.serving_commit, PREVIOUS_COMMIT)
    scene.expect("the previous version was confirmed healthy", "nothing to roll back" in run.history[-1].message)
    scene.expect_equal("notifications `failed`", scene.told("failed"), 1)


@scenario("crash-after-live", "it dies during the bake: rolled back", bake=4.0)
async def _crash_after_live(scene: Scene) -> None:
    scene.plan(log=("listening", "RangeError: heap out of memory"))
    scene.merge(scene.open_pull_request())
    await scene.until(lambda runs: any("must stay" in entry.message for entry in runs[-1].history))
    scene.crash()
    run = await scene.ended()
    await _expect_rolled_back(scene, run, Reason.DEPLOY_CRASHED)


@scenario("checks-fail", "a check fails: nothing is merged")
async def _checks_fail(scene: Scene) -> None:
    number = scene.open_pull_request(check="failure")
    scene.comment(number, "/deploy")
    _expect_failed(scene, await scene.ended(), Reason.CHECKS_FAILED)
    _expect_untouched(scene)


@scenario("checks-slow", "a check takes its time: the run waits without occupying a function, and goes on")
async def _checks_slow(scene: Scene) -> None:
    number = scene.open_pull_request(check=None)
    scene.comment(number, "/deploy")
    waiting = await scene.until(lambda runs: runs[-1].stage is Stage.MERGE and runs[-1].status is Status.WAITING)
    scene.expect("while it waits no function holds it", waiting.lease is None)
    scene.expect("and it has a time to be looked at", waiting.wake_at is not None)
    scene.report_check(number, "success")
    _expect_deployed(scene, await scene.ended(), scene.github.merges[0][2] if scene.github.merges else "")


@scenario("checks-late", "/deploy right after a push: what has not begun yet is waited for, and fails", settle=60.0)
async def _checks_late(scene: Scene) -> None:
    number = scene.open_pull_request(check=None)
    scene.report_check(number, "success")
    scene.push(number)
    scene.comment(number, "/deploy")
    await scene.until(lambda runs: "for checks to begin" in runs[-1].history[-1].message)
    scene.queue_checks(number)
    await scene.until(lambda runs: "no check listed yet" in runs[-1].history[-1].message)
    scene.report_check(number, "failure")
    _expect_failed(scene, await scene.ended(), Reason.CHECKS_FAILED)
    _expect_untouched(scene)


@scenario("checks-by-hand", "a user merges with a red check: deployed, and reported")
async def _checks_by_hand(scene: Scene) -> None:
    number = scene.open_pull_request(check="failure")
    sha = scene.merge(number)
    run = await scene.ended()
    _expect_deployed(scene, run, sha)
    warned = any("although its checks had not passed: test (failure)" in body for body in scene.status_comments(number))
    scene.expect("the comment says that the check had failed", warned)


@scenario("merge-conflict", "the branch has conflicts: nothing is merged")
async def _merge_conflict(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.github.set_conflict(REPOSITORY, number)
    scene.comment(number, "/deploy")
    _expect_failed(scene, await scene.ended(), Reason.NOT_MERGEABLE)
    _expect_untouched(scene)


@scenario("head-moved", "a user pushes between the check and the merge: not merged blind")
async def _head_moved(scene: Scene) -> None:
    number = scene.open_pull_request()

    def push() -> None:
        scene.say("ada pushes another commit, just before the merge")
        scene.github.push(REPOSITORY, number)

    scene.github.app.interruptions.append((f"/pulls/{number}/merge", push))
    scene.comment(number, "/deploy")
    _expect_failed(scene, await scene.ended(), Reason.HEAD_MOVED)
    _expect_untouched(scene)


@scenario("duplicate-storm", "every webhook and message five times, shuffled: one of everything", copies=5)
async def _duplicate_storm(scene: Scene) -> None:
    scene.github.delivery_copies = scene.railway.delivery_copies = scene.host.options.copies
    scene.github.shuffle, scene.railway.shuffle = random.Random(1), True
    number = scene.open_pull_request()
    scene.comment(number, "/deploy")
    run = await scene.ended()
    await scene.quiet()
    scene.expect_equal("merges", len(scene.github.merges), 1)
    _expect_deployed(scene, run, scene.github.merges[0][2] if scene.github.merges else "")
    scene.expect_equal("runs", len(await scene.runs()), 1)
    scene.expect_equal("comments on the pull request", len(scene.status_comments(number)), 1)
    scene.expect_equal("notifications of any kind", len(scene.n8n.notifications), 1)


@scenario("auto-deploy", "Railway deploys the merge automatically: adopted, not doubled", auto_deploy=True)
async def _auto_deploy(scene: Scene) -> None:
    sha = scene.merge(scene.open_pull_request())
    run = await scene.ended()
    _expect_deployed(scene, run, sha)
    scene.expect("the deployment is Railway's own", run.deployment is not None and run.deployment.adopted)


@scenario("nothing-to-deploy", "Railway skips the merge, as no watched file changed: it ends quietly", auto_deploy=True)
async def _nothing_to_deploy(scene: Scene) -> None:
    scene.plan(skipped=True)
    scene.merge(scene.open_pull_request())
    run = await scene.ended()
    _expect_not_deployed(scene, run, Reason.NOTHING_TO_DEPLOY)
    scene.expect_equal("deployments made by us", [made for made in scene.railway.created if made.source == "API"], [])
    scene.expect_equal("notifications of any kind", len(scene.n8n.notifications), 0)


@scenario("held-back", "a merge while the target is held is no failure, and comes with the next /deploy")
async def _held_back(scene: Scene) -> None:
    scene.plan(health="failing")
    scene.merge(scene.open_pull_request())
    await _expect_rolled_back(scene, await scene.ended(), Reason.UNHEALTHY)
    number = scene.open_pull_request(title="Fix the checkout")
    sha = scene.merge(number)
    _expect_not_deployed(scene, await scene.ended(2), Reason.TARGET_HELD)
    target = await scene.target()
    scene.expect_equal("held back", [one.commit_sha for one in target.held_back], [sha])
    scene.expect_equal("notifications `held_back`", scene.told("held_back"), 1)
    scene.comment(number, "/deploy")
    run = await scene.ended(3)
    scene.expect_equal("status when requested", run.status, Status.SUCCEEDED)
    scene.expect_equal("serving", scene.serving_commit, sha)
    target = await scene.target()
    scene.expect("nothing is held back any more", target.hold is None and not target.held_back)


_NO_VERDICTS = frozenset({"not authorized", "not accessible", "a page with 403"})


@scenario("vendor-outage", "GitHub and Railway answer 502, 429 and refusals for a while: late, but complete")
async def _vendor_outage(scene: Scene) -> None:
    limited = {"Retry-After": "1", "X-RateLimit-Remaining": "0"}
    scene.github.app.faults += [Fault(times=4), Fault(status=429, headers=limited), Fault(times=2)]
    scene.railway.app.faults += [Fault(times=4), Fault(status=429, headers=limited), Fault(times=2)]
    for vendor in (scene.github, scene.railway):
        name = "github" if vendor is scene.github else "railway"
        vendor.app.faults += [answer.as_fault("") for answer in PASSING_REFUSALS[name] if answer.name in _NO_VERDICTS]
    scene.say("GitHub and Railway answer 502, 429, and refusals that pass")
    number = scene.open_pull_request()
    scene.comment(number, "/deploy")
    run = await scene.ended()
    scene.expect_equal("merges", len(scene.github.merges), 1)
    _expect_deployed(scene, run, scene.github.merges[0][2] if scene.github.merges else "")
    scene.expect_equal("faults left", len(scene.github.app.faults) + len(scene.railway.app.faults), 0)


@scenario("rollback-fails", "unhealthy, and Railway refuses the rollback: target locked, critical notification")
async def _rollback_fails(scene: Scene) -> None:
    scene.plan(health="failing")
    scene.railway.refuse_rollback = True
    number = scene.open_pull_request()
    scene.merge(number)
    run = await scene.ended()
    _expect_failed(scene, run, Reason.ROLLBACK_REFUSED)
    target = await scene.target()
    scene.expect("the target is locked, with the reason", target.lock is not None and "refused" in target.lock.reason)
    scene.expect_equal("notifications `rollback_failed`", scene.told("rollback_failed"), 1)
    severities = [sent["severity"] for sent in scene.n8n.notifications if sent["event"] == "rollback_failed"]
    scene.expect_equal("severity", severities, ["critical"])


@scenario("quarantine", "after a rollback the commit is not deployed again without --force")
async def _quarantine(scene: Scene) -> None:
    scene.plan(health="failing")
    number = scene.open_pull_request()
    sha = scene.merge(number)
    await _expect_rolled_back(scene, await scene.ended(), Reason.UNHEALTHY)
    scene.comment(number, "/deploy")
    _expect_failed(scene, await scene.ended(2), Reason.QUARANTINED)
    scene.expect_equal("serving", scene.serving_commit, PREVIOUS_COMMIT)
    scene.comment(number, "/deploy --force the database was the cause, and is back")
    run = await scene.ended(3)
    scene.expect_equal("status when forced", run.status, Status.SUCCEEDED)
    scene.expect_equal("serving at the end", scene.serving_commit, sha)
    target = await scene.target()
    scene.expect("quarantine and hold are lifted", not target.quarantined and target.hold is None)


@scenario("rollback-command", "/rollback returns to the version before, by hand")
async def _rollback_command(scene: Scene) -> None:
    number = scene.open_pull_request()
    sha = scene.merge(number)
    await scene.ended()
    scene.comment(number, "/rollback production")
    run = await scene.ended(2)
    scene.expect_equal("status", run.status, Status.SUCCEEDED)
    scene.expect_equal("serving", scene.serving_commit, PREVIOUS_COMMIT)
    scene.expect_equal("rollbacks", len(scene.railway.rollbacks), 1)
    target = await scene.target()
    scene.expect("the commit that was rolled back is quarantined", target.quarantine_of(sha) is not None)
    scene.expect_equal("notifications `rolled_back`", scene.told("rolled_back"), 1)


@scenario("promotion", "a merge is verified in staging, and then goes on to production", layout="in order")
async def _promotion(scene: Scene) -> None:
    sha = scene.merge(scene.open_pull_request())
    run = await scene.ended(2)
    scene.expect_equal("environment of the last run", run.environment, "production")
    scene.expect_equal("requested by", run.trigger.source, "promotion")
    scene.expect_equal("status", run.status, Status.SUCCEEDED)
    scene.expect_equal("live in staging", scene.live_in("web", "staging"), sha)
    scene.expect_equal("serving", scene.serving_commit, sha)
    first = (await scene.runs())[0]
    scene.expect("production began when staging was verified", run.created_at >= first.history[-1].at)
    scene.expect_equal("notifications `succeeded`", scene.told("succeeded"), 2)


@scenario("promotion-stopped", "unhealthy in staging: rolled back there, and never in production", layout="in order")
async def _promotion_stopped(scene: Scene) -> None:
    scene.plan_in("staging", health="failing")
    number = scene.open_pull_request()
    scene.comment(number, "/deploy staging")
    run = await scene.ended()
    scene.expect_equal("environment", run.environment, "staging")
    scene.expect_equal("status", run.status, Status.ROLLED_BACK)
    scene.comment(number, "/deploy production")
    await scene.quiet()
    reply = scene.github.comments(REPOSITORY, number)[-1]
    scene.expect("the reply names what comes first", "not_verified_before" in reply and "/deploy web/staging" in reply)
    scene.expect_equal("runs", len(await scene.runs()), 1)
    scene.expect_equal("live in staging", scene.live_in("web", "staging"), PREVIOUS_COMMIT)
    scene.expect_equal("serving", scene.serving_commit, PREVIOUS_COMMIT)


@scenario(
    "two-services", "a merge goes to the services it touches, and a lock holds the one it names", layout="two services"
)
async def _two_services(scene: Scene) -> None:
    sha = scene.merge(scene.open_pull_request(files=("web/cart.py",)))
    await scene.ended(2)
    scene.expect_equal("live", [scene.live_in(one, "production") for one in ("web", "api")], [sha, PREVIOUS_COMMIT])
    number = scene.open_pull_request(title="Another currency", files=("common/money.py",))
    scene.comment(number, "/lock api/production stocktaking")
    await scene.quiet()
    both = scene.merge(number)
    await scene.until(
        lambda runs: len(runs) == 4 and {run.status for run in runs[2:]} == {Status.QUEUED, Status.SUCCEEDED}
    )
    scene.expect_equal("live", [scene.live_in(one, "production") for one in ("web", "api")], [both, PREVIOUS_COMMIT])
    scene.comment(number, "/unlock api/production")
    await scene.ended(4)
    scene.expect_equal("live", [scene.live_in(one, "production") for one in ("web", "api")], [both, both])
    scene.expect_equal("deployments made", len(scene.railway.created), 3)


def _expect_deployed(scene: Scene, run: Run, sha: str) -> None:
    scene.expect_equal("status", run.status, Status.SUCCEEDED)
    scene.expect_equal("commit", run.commit_sha, sha)
    scene.expect_equal("serving", scene.serving_commit, sha)
    scene.expect_equal("deployments made", len(scene.railway.created), 1)
    scene.expect_equal("notifications `succeeded`", scene.told("succeeded"), 1)


def _expect_failed(scene: Scene, run: Run, code: Reason) -> None:
    scene.expect_equal("status", run.status, Status.FAILED)
    scene.expect_equal("reason", run.error.code if run.error else None, code)


def _expect_not_deployed(scene: Scene, run: Run, code: Reason) -> None:
    scene.expect_equal("status", run.status, Status.NOT_DEPLOYED)
    scene.expect_equal("reason", run.reason, code)
    scene.expect("there is no error", run.error is None)


def _expect_untouched(scene: Scene) -> None:
    scene.expect_equal("merges", len(scene.github.merges), 0)
    scene.expect_equal("deployments made", len(scene.railway.created), 0)
    scene.expect_equal("notifications `failed`", scene.told("failed"), 1)


async def _expect_rolled_back(scene: Scene, run: Run, code: Reason) -> None:
    scene.expect_equal("status", run.status, Status.ROLLED_BACK)
    scene.expect_equal("reason", run.error.code if run.error else None, code)
    scene.expect_equal("rollbacks", len(scene.railway.rollbacks), 1)
    scene.expect_equal("serving the previous commit", scene.serving_commit, PREVIOUS_COMMIT)
    scene.expect_equal("notifications `rolled_back`", scene.told("rolled_back"), 1)
    target = await scene.target()
    serving = scene.serving()
    recorded = target.current.deployment_id if target.current else None
    scene.expect_equal("recorded as current", recorded, serving.id if serving else None)
    scene.expect("the commit is quarantined, the target held", bool(target.quarantined) and target.hold is not None)
