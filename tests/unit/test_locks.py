"""What a function installs: the pins of what it imports, and of all that these need in turn."""

import re
from pathlib import Path

import locks
import pytest
from locks import ALWAYS, RUN, WrongLock, closure, imported, pins, provider

from local import topology
from local.packaging import packages

ALL = RUN.read_text()
GADGET = "gadget==1.0 \\\n    --hash=sha256:00\n"


@pytest.fixture
def gadget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution that is installed; the file is what it needs."""
    metadata = tmp_path / "gadget-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: gadget\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    return metadata


def needing(metadata: Path, *needs: str) -> None:
    metadata.write_text(metadata.read_text() + "".join(f"Requires-Dist: {need}\n" for need in needs))


def names(lock: str) -> list[str]:
    return [pin.name for pin in pins(lock)]


def test_there_is_a_lock_for_each_function_and_no_other() -> None:
    functions = {f"{function.name}.txt" for function in topology.load().functions}
    assert {path.name for path in (packages.ROOT / packages.LOCKS).iterdir()} == functions


def test_imports_are_found_wherever_they_stand_except_where_only_type_checkers_look() -> None:
    assert imported(["shared.clients.github.app"]) == {"cryptography.exceptions", "jwt", "msgspec"}
    assert imported(["shared.runtime.services"]) == set()
    assert {"google.cloud.firestore_v1.types", "google.api_core.exceptions"} <= imported(["shared.cloud.firestore"])


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("google.api_core.exceptions", "google-api-core"),
        ("google.cloud.firestore_v1.types", "google-cloud-firestore"),
        ("google.pubsub_v1", "google-cloud-pubsub"),
        ("jwt", "pyjwt"),
    ],
)
def test_a_module_is_known_by_its_distribution(module: str, distribution: str) -> None:
    assert provider(module) == distribution


@pytest.mark.parametrize("module", ["pytest", "google.cloud"])
def test_a_module_of_nothing_pinned_is_refused(module: str) -> None:
    with pytest.raises(WrongLock, match=rf"{module} is imported, and nothing pinned"):
        provider(module)


def test_needs_follow_the_markers_of_linux_and_of_every_supported_python(gadget: Path) -> None:
    needing(
        gadget,
        "absent-on-linux; sys_platform == 'win32'",
        "absent-on-python-3; python_version < '3.11'",
        "absent-unless-asked-for; extra == 'more'",
        "PyJWT>=2; python_version >= '3.14'",
    )
    assert names(closure(["gadget"], ALL + GADGET)) == ["gadget", "pyjwt"]


def test_extras_that_are_pinned_bring_what_they_need(gadget: Path) -> None:
    needing(gadget, "Flask[async]")
    assert "asgiref" not in names(closure(["gadget"], ALL + GADGET))
    with pytest.raises(WrongLock, match=r"flask needs asgiref, which requirements/run\.txt does not pin"):
        closure(["gadget"], ALL.replace("\nflask==", "\nflask[async]==") + GADGET)


def test_a_pin_with_extras_is_there_without_them_too() -> None:
    lock = closure(["google-api-core"], ALL)
    both = re.findall(r"^google-api-core\S*==\S+ \\\n(?:    --hash=\S+(?: \\)?\n)+", lock, re.MULTILINE)
    assert [one.partition("==")[0] for one in both] == ["google-api-core", "google-api-core[grpc]"]
    assert both[0].partition("==")[2] == both[1].partition("==")[2]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (r"^h11==.*\n(    --hash.*\n)+", "", r"uvicorn needs h11, which requirements/run\.txt does not pin"),
        (r"^uvloop==.*\n(    --hash.*\n)+", "", r"a function needs uvloop, which requirements/run\.txt does not pin"),
        (r"^h11==\S+", "h11==0.1", r"requirements/run\.txt pins h11 0\.1, installed is \d+\."),
        (r"^uvloop==", "absent==1.0 \\\\\n    --hash=sha256:00\nuvloop==", None),
    ],
    ids=["needed", "always", "other version", "not needed"],
)
def test_pins_that_are_not_what_is_installed_are_refused(before: str, after: str, reason: str | None) -> None:
    changed = re.sub(before, after, ALL, count=1, flags=re.MULTILINE)
    assert changed != ALL
    if reason is None:
        assert closure(ALWAYS, changed) == closure(ALWAYS, ALL)
        return
    with pytest.raises(WrongLock, match=reason):
        closure(ALWAYS, changed)


def test_a_pin_that_is_not_installed_is_refused() -> None:
    with pytest.raises(WrongLock, match=r"pins absent, which is not installed"):
        closure(["absent"], "absent==1.0 \\\n    --hash=sha256:00\n")


def test_the_locks_are_written_anew_and_no_old_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "LOCKS", tmp_path / "functions")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "gone.txt").touch()
    locks.main()
    written = {path.name: path.read_bytes() for path in (tmp_path / "functions").iterdir()}
    kept = packages.ROOT / "requirements" / "functions"
    assert written == {path.name: path.read_bytes() for path in kept.iterdir()}
