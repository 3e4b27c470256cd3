"""The manifest of the GitHub App: exactly the permissions and events that this code uses.

Source: docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest.
"""

from __future__ import annotations

from typing import Any

from local.doctor.github import LISTENED_TO, NEEDED

NAME = "signalbox"
LONGEST_NAME = 34
"""Characters (docs: "Registering a GitHub App")."""
WORKFLOWS = {"actions": "write"}
"""What only an operator who has a workflow started needs; no function does."""
NOWHERE = "https://example.com"
"""Where webhooks go until the functions have an address.

GitHub wants an address in `hook_attributes`, refuses those of this machine, and makes a webhook's secret only where
there is one; that of IANA's example is nobody's (RFC 2606), and `signalbox doctor` fails on it.
"""


def manifest(*, name: str, homepage: str, webhook: str | None, workflows: bool) -> dict[str, Any]:
    """As GitHub takes it, but for `redirect_url`, which is whoever's that asks."""
    return {
        "name": name,
        "url": homepage,
        "description": "Takes pull requests to production on Railway, and back when they do not hold",
        "public": False,
        "hook_attributes": {"url": webhook or NOWHERE, "active": True},
        "default_permissions": NEEDED | (WORKFLOWS if workflows else {}),
        "default_events": list(LISTENED_TO),
    }
