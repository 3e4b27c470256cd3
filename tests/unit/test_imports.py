"""What a source can import at run time, read without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.packaging.imports import Import, imports_of, reach
from shared.errors import ConfigError

SOURCE = """
from __future__ import annotations
import os, google.auth
from typing import TYPE_CHECKING
from shared import log
if TYPE_CHECKING:
    from shared.cloud.secrets import SecretManager
else:
    from shared import envelope

class Client:
    from shared.core.run import *

    async def call(self):
        def deeper():
            import jwt
        from shared.clients import github
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_imports_are_found_wherever_they_stand_except_where_only_type_checkers_look(tmp_path: Path) -> None:
    found = imports_of(written(tmp_path, "main.py", SOURCE))
    assert [(one.dotted, one.later) for one in found] == [
        ("__future__.annotations", False),
        ("os", False),
        ("google.auth", False),
        ("typing.TYPE_CHECKING", False),
        ("shared.runtime.log", False),
        ("shared.runtime.envelope", False),
        ("shared.core.run", False),
        ("jwt", True),
        ("shared.clients.github.client", True),
    ]
    assert found[-2] == Import("jwt", None, True, 16)


def test_a_relative_import_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"main\.py:1: a relative import"):
        imports_of(written(tmp_path, "main.py", "from . import log"))


def test_modules_are_reached_through_others_and_with_their_packages(tmp_path: Path) -> None:
    # Given a chain of modules with a circle, an attribute that looks like a module, and a module nobody imports
    main = written(tmp_path, "functions/f/main.py", "from shared.a import b\nimport os, httpx")
    written(tmp_path, "shared/__init__.py", "")
    written(tmp_path, "shared/a/__init__.py", "from shared.d import THING")
    written(tmp_path, "shared/a/b.py", "import google.auth.transport")
    written(tmp_path, "shared/d.py", "from shared import a\n\ndef use():\n    import shared.later, shared.never")
    written(tmp_path, "shared/later.py", "")
    written(tmp_path, "shared/never.py", "import nothing")
    written(tmp_path, "shared/runs/reply_lease.py", "")

    # When some of what is imported later may be followed
    reached = reach(main, tmp_path, also=(), follow=lambda module: module != "shared.never")

    # Then that is in, and what is not ours is known by place
    assert set(reached.modules) == {"shared", "shared.a", "shared.a.b", "shared.d", "shared.later"}
    assert reached.modules["shared.a"] == tmp_path / "shared" / "a" / "__init__.py"
    assert reached.external == {"httpx": "functions/f/main.py:2", "google.auth.transport": "shared/a/b.py:1"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "import local.emulation.bus",
            r"main\.py:1: imports local\.bus, which no package holds: local/ is not deployed",
        ),
        ("from functions.merge import main", r"imports functions\.merge\.main, which no package holds"),
        ("def f():\n    from local import bus", r"main\.py:2: imports local\.bus"),
        ("from shared.nonsense import thing", r"main\.py:1: there is no module shared\.nonsense"),
        ("def f():\n    import shared.nonsense", r"main\.py:2: there is no module shared\.nonsense"),
    ],
)
def test_what_a_deployed_function_cannot_import_is_an_error(tmp_path: Path, line: str, reason: str) -> None:
    written(tmp_path, "shared/__init__.py", "")
    main = written(tmp_path, "main.py", line)
    with pytest.raises(ConfigError, match=reason):
        reach(main, tmp_path, also=(), follow=lambda _: False)
