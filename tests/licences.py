"""The licences of what is deployed, from a CycloneDX bill of materials: `make sbom`. One that is not known fails it."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

PERMISSIVE = {
    *("MIT", "MIT-0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "PSF-2.0", "Python-2.0", "Zlib"),
    *("MPL-2.0", "Unlicense", "CC0-1.0", "BSL-1.0", "CNRI-Python", "BlueOak-1.0.0"),
}
"""By their SPDX identifiers. MPL-2.0 asks for changes of its own files, which we do not make."""
NAMES: Mapping[str, str] = {
    "MIT License": "MIT",
    "The MIT License": "MIT",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""As packages write them that use no identifier."""


BY_HAND: Mapping[str, str] = {
    "protobuf": "BSD-3-Clause",  # `License: 3-Clause BSD License` in its metadata, which has no classifier of it
}
"""Packages whose licence is written where the bill of materials does not look."""


class _License(Struct, frozen=True):
    id: str = ""
    name: str = ""


class _Choice(Struct):
    license: _License = _License()
    expression: str = ""


class _Component(Struct):
    name: str
    version: str = ""
    licenses: list[_Choice] = []


class _Bill(Struct):
    components: list[_Component] = []


def licences(bill: bytes) -> dict[str, str]:
    """By package with version; empty where none is known. Raises msgspec.DecodeError for what is no bill."""
    components = msgspec.json.decode(bill, type=_Bill).components
    return {f"{one.name} {one.version}": _named(one) for one in sorted(components, key=lambda one: one.name.lower())}


def is_fine(licence: str) -> bool:
    """Whether each part of an expression is permissive, or one of those that one may choose from."""
    parts = [part.strip("() ") for part in re.split(r"\s+AND\s+|;", licence)]
    return bool(licence) and all(any(choice in PERMISSIVE for choice in re.split(r"\s+OR\s+", part)) for part in parts)


def table(found: Mapping[str, str]) -> str:
    rows = "\n".join(f"| {name} | {licence or '?'} |" for name, licence in found.items())
    return f"# Licences of what is deployed\n\n| package | licence |\n|---|---|\n{rows}\n"


def _named(component: _Component) -> str:
    """Identifiers where there are any: a text as a name, or a classifier, says the same less clearly."""
    expressions = [one.expression for one in component.licenses if one.expression]
    ids = [one.license.id for one in component.licenses if one.license.id]
    names = [NAMES.get(one.license.name.strip(), "") for one in component.licenses]
    known = expressions or ids or [name for name in names if name]
    return "; ".join(dict.fromkeys(known)) or BY_HAND.get(component.name, "")


def main() -> int:
    bill, page = map(Path, sys.argv[1:3])
    found = licences(bill.read_bytes())
    page.write_text(table(found), encoding="utf-8")
    bad = [f"{name}: {licence or 'no licence is known'}" for name, licence in found.items() if not is_fine(licence)]
    print("\n".join([f"{len(found)} packages: {bill}, {page}", *bad]))  # noqa: T201
    return 1 if bad or not found else 0


if __name__ == "__main__":
    sys.exit(main())
