"""What differs from secret to secret when it is rotated: where its value is made, who has it too, and what tests it."""

from __future__ import annotations

from msgspec import Struct

from local.doctor import Subject
from shared.runtime import secrets
from shared.runtime.config import Config


class Kind(Struct, frozen=True, kw_only=True):
    """`make` and `give` are what a person does: before the new version is added, and after it."""

    make: str
    give: str
    proof: tuple[Subject, ...]
    """What the doctor has to find well with the new value: each is looked at, and none fails."""
    later: bool = False
    """Whether the other side may have the new value only once every function has read it."""
    unseen: str = ""
    """What no check can see of the new value; empty where the proof is one."""
    gap: str = ""
    """What is refused between the two, and comes again by itself."""


DRAWN = "Make a random value: `openssl rand -hex 32`."
_KINDS = {
    secrets.GITHUB_APP_PRIVATE_KEY: Kind(
        make="Make a new private key in the App's settings on GitHub. An App may have several, so the old one goes on.",
        give="Nothing: GitHub has its half already.",
        proof=(Subject.GITHUB_APP, Subject.GITHUB_INSTALLATION),
    ),
    secrets.GITHUB_WEBHOOK_SECRET: Kind(
        make=DRAWN,
        give="Put the same value into the App's settings on GitHub, as the webhook's secret. Both are accepted.",
        proof=(Subject.GITHUB_WEBHOOK, Subject.GITHUB_DELIVERIES),
        later=True,
        unseen="GitHub does not say which of the two it signs with: afterwards see that Recent Deliveries in the App's"
        " settings show no 401.",
    ),
    secrets.RAILWAY_WEBHOOK_SECRET: Kind(
        make=DRAWN,
        give="Put the same value into the header X-Webhook-Secret of the project's webhook on Railway. Both are"
        " accepted.",
        proof=(Subject.RAILWAY_WEBHOOK,),
        later=True,
        unseen="Railway does not say which of the two it sends: afterwards see that the log of webhooks has no `webhook"
        " refused: it does not bring Railway's secret`.",
    ),
    secrets.N8N_API: Kind(
        make=DRAWN,
        give="Put the same value into n8n's credential `Signalbox webhook` (JWT Auth), at once.",
        proof=(Subject.N8N_WORKFLOW,),
        gap="n8n answers 403 until its credential has the new value; notifications are sent then.",
    ),
}
_RAILWAY = Kind(
    make="Make a project token of the same environment, in the settings of its project on Railway, under Tokens.",
    give="Nothing yet: both tokens open the environment. When all is done, delete the old one on Railway.",
    proof=(Subject.RAILWAY_TOKEN, Subject.RAILWAY_IDS),
)
AFTERWARDS = {
    secrets.GITHUB_APP_PRIVATE_KEY: "Delete the old key in the App's settings on GitHub.",
}
_DELETE = "Delete the old token on Railway, in the settings of the project, under Tokens."


def kind_of(name: str) -> Kind:
    return _KINDS.get(name, _RAILWAY)


def afterwards(name: str) -> str:
    """What is left to do at the vendor once the old version is disabled; empty for nothing."""
    return AFTERWARDS.get(name, "" if name in _KINDS else _DELETE)


def concern(name: str, config: Config) -> frozenset[str]:
    """What a finding may be about to concern this secret: a token of Railway, itself and the targets that use it.

    Empty: whatever it is about.
    """
    if name in _KINDS:
        return frozenset()
    using = (target.id for target in config.targets if target.railway_token.secret == name)
    return frozenset({name, *using})


def names_of(config: Config) -> tuple[str, ...]:
    """The secrets that this configuration uses, in the order in which people know them."""
    unused = {secrets.N8N_API} if config.n8n is None else set()
    return tuple(name for name in config.secrets if name not in unused)
