"""Whole runs, from the webhook to the last notification, through the functions as they are deployed."""

from __future__ import annotations

from unit.functions.scene import OLD, Scene

from shared.run import Status


async def test_a_merged_pull_request_is_deployed_verified_and_told_once(scene: Scene) -> None:
    number = scene.open_pull_request()
    sha = scene.merge(number)
    await scene.settle()
    run = await scene.the_run()
    assert (run.status, run.commit_sha) == (Status.SUCCEEDED, sha)
    assert [deployment.commit_sha for deployment in scene.railway.created] == [sha]
    assert scene.told() == ["succeeded"]
    assert len(scene.comments()) == 1
    target = await scene.target()
    assert (target.active, [v.commit_sha for v in target.verified]) == (None, [sha, OLD])
