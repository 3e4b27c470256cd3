"""What vendors publish about their interfaces: pinned npm packages, fetched once into the user's cache."""

import base64
import functools
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from msgspec import Struct


class Unavailable(Exception):
    """Neither in the cache nor to be had; the text says why."""


class Package(Struct, frozen=True):
    """`integrity`: of the archive, as npm tells it (Subresource Integrity); `file`: the only one that is kept."""

    name: str
    version: str
    integrity: str
    file: str


OPENAPI = Package(
    "@octokit/openapi",
    "23.0.2",
    "sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
    "generated/api.github.com.json",
)
GRAPHQL_SCHEMA = Package(
    "@octokit/graphql-schema",
    "15.26.1",
    "sha512-RFDC2MpRBd4AxSRvUeBIVeBU7ojN/SxDfALUd7iVYOSeEK3gZaqR2MGOysj4Zh2xj2RY5fQAUT+Oqq7hWTraMA==",
    "schema.graphql",
)
WEBHOOKS_EXAMPLES = Package(
    "@octokit/webhooks-examples",
    "7.6.1",
    "sha512-De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
    "api.github.com/index.json",
)
WEBHOOKS_SCHEMAS = Package(
    "@octokit/webhooks-schemas",
    "7.6.1",
    "sha512-qW0Bwtb76r4m2WzVhKDyfEeEnt1GEQoRjkCqmq2ZeB0nNVDJ+Z2LBDS9FDPyduuMXf/ZTWiCJp9PFFHgRfBe3A==",
    "schema.json",
)


@functools.cache
def read(package: Package) -> bytes:
    """The package's file. Raises Unavailable."""
    kept = _cache() / f"{package.name.removeprefix('@').replace('/', '-')}-{package.version}" / Path(package.file).name
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            _extract(package, _archive(package, Path(folder)), kept)
    return kept.read_bytes()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "signalbox" / "contracts"


def _archive(package: Package, folder: Path) -> Path:
    """The archive as npm brings it, verified."""
    npm, wanted = shutil.which("npm"), f"{package.name}@{package.version}"
    if npm is None:
        raise Unavailable(f"{wanted} is not in {_cache()}, and npm, which would fetch it, is not installed")
    packing = [npm, "pack", wanted, "--pack-destination", str(folder), "--silent"]
    done = subprocess.run(packing, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise Unavailable(f"npm could not fetch {wanted}: {done.stderr.strip()}")
    [archive] = folder.glob("*.tgz")
    algorithm, _, digest = package.integrity.partition("-")
    with archive.open("rb") as opened:
        found = base64.b64encode(hashlib.file_digest(opened, algorithm).digest()).decode()
    assert found == digest, f"{wanted} is not what was pinned: its {algorithm} is {found}"
    return archive


def _extract(package: Package, archive: Path, kept: Path) -> None:
    """Put the file in its place in one step: another process may be doing the same."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as opened, tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as written:
        content = opened.extractfile(f"package/{package.file}")
        assert content is not None
        shutil.copyfileobj(content, written)
    Path(written.name).replace(kept)
