"""Packages are taken only as they were pinned, and fetched once."""

import base64
import hashlib
import tarfile

import pytest
from vendors import packages
from vendors.packages import Package, Unavailable


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An npm that brings one archive, and can be taken away."""
    folder, archive = tmp_path / "bin", tmp_path / "made.tgz"
    folder.mkdir()
    (tmp_path / "schema.json").write_text("{}")
    with tarfile.open(archive, "w:gz") as made:
        made.add(tmp_path / "schema.json", "package/schema.json")
    program = folder / "npm"
    program.write_text(f'#!/bin/sh\n/bin/cp {archive} "$4/made.tgz"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield program
    packages.read.cache_clear()


def integrity(archive) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()}"


def test_what_was_fetched_once_needs_no_npm(npm, tmp_path):
    package = Package("@made/up", "1.0.0", integrity(tmp_path / "made.tgz"), "schema.json")
    assert packages.read(package) == b"{}"
    npm.unlink()
    packages.read.cache_clear()
    assert packages.read(package) == b"{}"


def test_another_archive_than_the_pinned_one_is_refused(npm, tmp_path):
    package = Package("@made/up", "1.0.0", f"sha512-{base64.b64encode(b'x' * 64).decode()}", "schema.json")
    with pytest.raises(AssertionError, match="not what was pinned"):
        packages.read(package)
    assert not list((tmp_path / "cache").rglob("schema.json"))


def test_neither_npm_nor_cache(npm):
    npm.unlink()
    with pytest.raises(Unavailable, match="npm, which would fetch it, is not installed"):
        packages.read(Package("@made/up", "1.0.0", "sha512-x", "schema.json"))


def test_an_npm_that_fails(npm):
    npm.write_text("#!/bin/sh\necho no way out >&2\nexit 1\n")
    with pytest.raises(Unavailable, match=r"could not fetch @made/up@1\.0\.0: no way out"):
        packages.read(Package("@made/up", "1.0.0", "sha512-x", "schema.json"))
