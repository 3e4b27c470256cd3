"""A repository that is renamed, transferred or replaced: what is deployed stays the one with the id that was seen."""

import pytest
from msgspec.structs import replace
from unit.functions.scene import TARGET, Scene

from local.world.vendors import REPOSITORY
from shared.core.events import PullRequestMerged, RepositoryMoved
from shared.core.run import Kind, Status
from shared.core.target import Repository
from shared.runtime import envelope

NEW_NAME = "acme/store"


async def known(scene: Scene) -> int:
    """The sweep has seen the repository; its id."""
    await scene.sweep()
    found = (await scene.target()).repository
    return found.id


async def heard(scene: Scene) -> None:
    """GitHub's webhooks come in, and what they cause happens."""
    await scene.github.tick()
    await scene.deliver()


def news(scene: Scene) -> list[str]:
    names = ("repository_renamed", "repository_replaced")
    return [str(sent["text"]) for sent in scene.n8n.notifications if sent["event"] in names]


@pytest.fixture(params=[NEW_NAME, "globex/shop"], ids=["renamed", "transferred"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_sweep_remembers_which_repository_is_meant(scene: Scene) -> None:
    await scene.sweep()
    id = scene.github.repository(REPOSITORY).id
    assert (await scene.target()).repository == Repository(id=id, name=REPOSITORY)


async def test_a_merge_in_a_renamed_repository_is_deployed(scene: Scene, name: str) -> None:
    # given a repository that has another name since this morning
    await known(scene)
    scene.pass_time(60)
    scene.github.rename(REPOSITORY, name, "ada")

    # when something is merged there
    sha = scene.merge(scene.open_pull_request())
    await heard(scene)
    await scene.settle()

    # then it is deployed, shown on the pull request, and people are told once what to do
    run = await scene.the_run()
    assert (run.status, run.commit_sha, run.repository) == (Status.SUCCEEDED, sha, REPOSITORY)
    assert any("✅ deployed" in said for said in scene.github.comments(name, 1))
    assert [shown.sha for shown in scene.github.deployments(name)] == [sha]
    assert news(scene) == [
        f"{TARGET} is deployed from {name}: its repository was renamed on GitHub. "
        f"Write {name} in signalbox.toml; until then deployments go on."
    ]


async def test_a_command_in_a_renamed_repository_is_carried_out(scene: Scene, name: str) -> None:
    await known(scene)
    scene.github.rename(REPOSITORY, name, "ada")
    scene.open_pull_request()
    scene.github.comment(name, 1, "/rollback", "grace")
    await heard(scene)
    assert (await scene.the_run()).kind is Kind.ROLLBACK


async def test_a_rename_of_which_no_webhook_tells_is_seen_by_the_sweep(scene: Scene, name: str) -> None:
    # given webhooks that do not arrive
    id = await known(scene)
    scene.pass_time(1)
    scene.github.rename(REPOSITORY, name, "ada")
    sha = scene.merge(scene.open_pull_request())
    scene.github.webhooks.queue.clear()

    # when the sweep looks
    for _ in range(4):
        await scene.sweep(after=60)
    await scene.settle()

    # then the new name is known, and the merge deployed
    assert (await scene.target()).repository == Repository(id=id, name=name)
    assert (await scene.the_run()).commit_sha == sha
    assert len(news(scene)) == 1


async def test_a_run_under_way_goes_on_through_a_rename(scene: Scene) -> None:
    await known(scene)
    number = scene.open_pull_request(tests=None)
    await scene.happen(scene.say(number, "/deploy"))
    await scene.deliver()
    scene.github.rename(REPOSITORY, NEW_NAME, "ada")
    scene.github.report_check(NEW_NAME, number, "tests", "success")
    await heard(scene)
    await scene.settle()
    assert ((await scene.the_run()).status, len(scene.github.merges)) == (Status.SUCCEEDED, 1)


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
async def test_another_repository_of_the_old_name_is_not_mistaken_for_it(scene: Scene, name: str, told: bool) -> None:
    # given that the old name has been given to another repository, with a pull request of the same number
    await known(scene)
    scene.github.rename(REPOSITORY, name, "ada")
    if not told:
        scene.github.webhooks.queue.clear()
    own = scene.open_pull_request()
    scene.github.add_repository(REPOSITORY, collaborators={"mallory": "admin"})
    other = scene.github.repository(REPOSITORY)
    foreign = scene.github.open_pull_request(REPOSITORY, title="Not ours", author="mallory")
    assert (own, foreign) == (1, 1)

    # when both are merged
    sha = scene.github.merge(name, own, "ada")
    scene.github.merge(REPOSITORY, foreign, "mallory")
    await heard(scene)
    for _ in range(3):
        await scene.sweep(after=60)
    await scene.settle()

    # then only the own one is deployed, and people know of both
    assert [(run.status, run.commit_sha) for run in await scene.runs()] == [(Status.SUCCEEDED, sha)]
    assert scene.github.comments(REPOSITORY, foreign) == []
    assert sum("is deployed from" in text for text in news(scene)) == 1
    assert sum(f"write id = {other.id}" in text for text in news(scene)) == 1


async def test_the_id_in_the_settings_says_which_repository_is_meant(scene: Scene) -> None:
    # given a repository that was deleted and made anew, and its new id in signalbox.toml
    await known(scene)
    del scene.github.repositories[REPOSITORY.lower()]
    scene.github.add_repository(REPOSITORY, collaborators={"grace": "write"})
    scene.github.repository(REPOSITORY).id = 4711
    targets = scene.services.config.targets
    scene.services.config = replace(
        scene.services.config, targets=tuple(replace(place, repository_id=4711) for place in targets)
    )

    # when something is merged in it
    sha = scene.merge(scene.open_pull_request())
    await heard(scene)

    # then it is deployed
    assert (await scene.the_run()).commit_sha == sha


async def test_events_of_repositories_that_nobody_configured_are_done_at_once(scene: Scene) -> None:
    await known(scene)
    for event in (
        PullRequestMerged(repository="acme/other", repository_id=5, number=1),
        RepositoryMoved(repository="acme/else", repository_id=5),
    ):
        assert (await scene.happen(event)).status_code == 200
    assert (await scene.runs(), [one for one in scene.logged() if one["severity"] == "ERROR"]) == ([], [])


async def test_an_event_from_before_there_were_ids_is_read(scene: Scene) -> None:
    scene.merge(scene.open_pull_request())
    old = f'{{"type":"pull_request_merged","repository":"{REPOSITORY}","number":1}}'.encode()
    assert envelope.decode_event(old) == PullRequestMerged(repository=REPOSITORY, number=1)
    await scene.push("dispatch", old)
    assert len(await scene.runs()) == 1
