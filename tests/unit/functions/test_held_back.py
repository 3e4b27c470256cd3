"""What a hold kept back stays on the target's list until it is known to be live."""

from unit.functions.scene import START, TARGET, Scene

from shared.core.target import HeldBack, Hold, Target


def held(scene: Scene, *, unverified: bool) -> Target:
    """A target whose version that was verified last is a merge on its list."""
    current = scene.serving()
    merge = HeldBack(commit_sha=current.commit_sha, run_id="a", at=START, number=1, title="a merge")
    hold = Hold(reason="b may be live", at=START, run_id="b", unverified=unverified, commit_sha="b" * 40)
    return Target(id=TARGET, verified=(current,), held_back=(merge,), hold=hold)


async def test_what_is_live_is_struck_off(scene: Scene) -> None:
    await scene.save(held(scene, unverified=False))
    await scene.sweep()
    assert (await scene.target()).held_back == ()


async def test_what_an_unverified_version_may_have_replaced_stays_listed(scene: Scene) -> None:
    await scene.save(held(scene, unverified=True))
    await scene.sweep()
    assert [one.number for one in (await scene.target()).held_back] == [1]
