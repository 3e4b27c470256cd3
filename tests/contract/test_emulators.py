"""Google's emulators: found where they are, said to be missing where not, stopped with all they started."""

import time
from pathlib import Path

import pytest

from local import topology
from local.emulation import emulators
from local.emulation.emulators import Emulators, Installation
from local.emulation.topics import clients, create_topics_and_subscriptions
from shared.cloud.firestore import FirestoreStore
from shared.core.target import Target
from shared.errors import ConfigError, Unavailable
from shared.runtime.ports import Create


def a_java(folder: Path, version: str = "17.0.15", then: str = "exit 0") -> Path:
    """Something that says it is Java."""
    folder.mkdir(parents=True, exist_ok=True)
    java = folder / "java"
    java.write_text(
        f'#!/bin/sh\nif [ "$1" = -version ]; then echo \'openjdk version "{version}"\' >&2; exit; fi\n{then}\n'
    )
    java.chmod(0o755)
    return java


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """One without Google's SDK, but with Java."""
    monkeypatch.setattr(emulators, "SDK_FOLDERS", (str(tmp_path / "sdk"),))
    a_java(tmp_path / "bin")
    return {"PATH": str(tmp_path / "bin")}


def jars(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_they_are_found_in_the_sdk_by_variable_by_gcloud_and_by_habit(machine, tmp_path):
    sdk = tmp_path / "sdk"
    firestore = sdk / "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
    pubsub = sdk / "platform/pubsub-emulator/lib/cloud-pubsub-emulator-0.8.20-all.jar"
    jars(firestore, pubsub, pubsub.with_name("cloud-pubsub-emulator-0.8.19-all.jar"))
    found = Installation(str(tmp_path / "bin/java"), firestore, pubsub)
    elsewhere = tmp_path / "elsewhere"
    sdk.rename(elsewhere)

    with pytest.raises(ConfigError):
        emulators.find(machine)
    moved = [elsewhere / path.relative_to(sdk) for path in (firestore, pubsub)]
    assert emulators.find({**machine, "CLOUDSDK_ROOT_DIR": str(elsewhere)}) == Installation(found.java, *moved)
    a_java(elsewhere / "bin").rename(elsewhere / "bin" / "gcloud")
    (tmp_path / "bin" / "gcloud").symlink_to(elsewhere / "bin" / "gcloud")
    assert emulators.find(machine) == Installation(found.java, *moved)
    (tmp_path / "bin" / "gcloud").unlink()
    elsewhere.rename(sdk)
    assert emulators.find(machine) == found


def test_a_folder_with_only_the_jars_will_do(machine, tmp_path):
    folder = tmp_path / "jars"
    jars(folder / "cloud-firestore-emulator-v1.19.8.jar", folder / "cloud-pubsub-emulator-0.8.20-all.jar")

    assert emulators.find({**machine, "CLOUDSDK_ROOT_DIR": str(folder)}).firestore.parent == folder


def test_what_is_missing_is_said_with_the_command_that_installs_it(machine):
    with pytest.raises(ConfigError, match="gcloud components install pubsub-emulator cloud-firestore-emulator"):
        emulators.find(machine)


@pytest.mark.parametrize("version", ["1.8.0_402", "10.0.2", "unknown"])
def test_java_has_to_be_there_and_new_enough(machine, tmp_path, version):
    home = tmp_path / "home"
    a_java(home / "bin", version)

    with pytest.raises(ConfigError, match=r"Java 11\+"):
        emulators.find({**machine, "JAVA_HOME": str(home)})
    with pytest.raises(ConfigError, match=r"Java 11\+: no `java`"):
        emulators.find({"PATH": str(tmp_path)})


def test_one_that_ends_at_once_is_told_with_its_log(tmp_path):
    java = a_java(tmp_path, then="echo no room left; exit 3")
    broken = Installation(str(java), tmp_path / "f.jar", tmp_path / "p.jar")

    told = pytest.raises(ConfigError, match=r"(?s)Firestore emulator ended with 3.*no room left")
    with told, emulators.running(broken, tmp_path / "logs"):
        pytest.fail("it is not running")


def test_one_that_never_answers_is_given_up_and_killed_with_its_children(tmp_path, monkeypatch):
    # Long enough for both shells to have begun, on a machine that does something else besides.
    monkeypatch.setattr(emulators, "STARTED_WITHIN", 5.0)
    monkeypatch.setattr(emulators, "STOPPED_WITHIN", 0.2)
    stubborn = f"trap '' TERM\nsleep 600 &\necho $$ $! >> {tmp_path}/pids\nwhile :; do sleep 1; done"
    java = a_java(tmp_path, then=stubborn)

    silent = Installation(str(java), tmp_path / "f.jar", tmp_path / "p.jar")
    told = pytest.raises(ConfigError, match="Firestore emulator does not answer")
    with told, emulators.running(silent, tmp_path / "logs"):
        pytest.fail("it is not running")

    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 4
    dying_until = time.monotonic() + 60.0  # a process that was killed takes a moment to be gone
    while any(alive(pid) for pid in pids) and time.monotonic() < dying_until:
        time.sleep(0.01)
    assert not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    """Running; one that only waits to be collected by its new parent is not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


async def test_a_reset_leaves_nothing_of_the_project_and_everything_of_others(google: Emulators, new_project):
    mine, other = new_project(), new_project()
    stores = {project: FirestoreStore(project, emulator=google.firestore.host) for project in (mine, other)}
    described = topology.load()
    for project, store in stores.items():
        await store.commit(Create(Target(id="t")))
        arguments = (described, "http://127.0.0.1:9", described.delivery, project)
        await create_topics_and_subscriptions(*arguments, host=google.pubsub.host)

    await google.reset(mine)

    assert await stores[mine].get(Target, "t") is None
    assert await stores[other].get(Target, "t") is not None
    async with clients(google.pubsub.host) as emulator:
        for project, count in ((mine, 0), (other, len(described.all_topics))):
            listed = await emulator.publisher.list_topics(project=f"projects/{project}")
            assert len([topic async for topic in listed]) == count
    await create_topics_and_subscriptions(
        described, "http://127.0.0.1:9", described.delivery, mine, host=google.pubsub.host
    )
    for store in stores.values():
        await store.close()


async def test_started_ones_answer_and_stopped_ones_are_gone(google: Emulators, tmp_path):
    with emulators.running(emulators.find(), tmp_path) as running:
        pids = [running.firestore.pid, running.pubsub.pid]
        assert running.environ["FIRESTORE_EMULATOR_HOST"] != google.environ["FIRESTORE_EMULATOR_HOST"], "a second pair"
        assert all(map(alive, pids))

    assert not any(map(alive, pids))
    running.pubsub.stop()  # once more does no harm
    with pytest.raises(Unavailable, match="Firestore emulator cannot be emptied"):
        await running.reset("project")
    with pytest.raises(Unavailable, match="Pub/Sub emulator"):
        async with clients(running.pubsub.host) as emulator:
            await emulator.publisher.list_topics(project="projects/project", retry=None, timeout=5.0)
    assert (tmp_path / "pubsub-emulator.log").stat().st_size > 0
    assert (tmp_path / "firestore-emulator.log").exists()
