"""Every error Signalbox raises.

SignalboxError
├── ConfigError             signalbox.toml or the environment is wrong: file, key, reason
├── BadInput                a webhook, push envelope or command that cannot be used: names the field
├── Conflict                a document changed since it was read, or exists already
├── SecretMissing           a secret has no readable value
├── TransientError          again later; `retry_after` when the vendor named a time
│   ├── Unavailable         network down, 5xx, or refused before anything was sent: had no effect or may be repeated
│   ├── RateLimited         429, or GitHub's 403 that means the same
│   └── UnknownOutcome      a change was sent and its answer lost: look before sending again
└── VendorError             the vendor understood and said no; counts once it has lasted
    ├── NotFound
    │   └── PullRequestUnknown  the repository is there, and has no pull request of that number
    ├── Unauthorized        the credentials are refused or lack a permission
    └── Refused             a business refusal, such as a rollback that is not possible
        └── Final           certain, whenever it is asked again: "Commit not found", a pull request that is closed

Which answer of which vendor is which of these: shared/clients/answers.py.
"""

from __future__ import annotations


class SignalboxError(Exception):
    """The root of all errors raised on purpose."""


class ConfigError(SignalboxError):
    """A setting is missing or wrong; the text names where and why."""


class BadInput(SignalboxError):
    """Input from outside that cannot be used; `field` is a dotted path, empty when the whole is unreadable."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Conflict(SignalboxError):
    """A commit's precondition did not hold; nothing of the commit was written."""


class SecretMissing(SignalboxError):
    """No value for the named secret can be read."""


class TransientError(SignalboxError):
    """Worth trying again; `retry_after` is in seconds, None when the vendor named no time."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(TransientError):
    """The vendor could not be reached, or failed on its side."""


class RateLimited(TransientError):
    """The vendor asks for fewer requests."""


class UnknownOutcome(TransientError):
    """A change was sent and no answer came: it may or may not have taken effect."""


class VendorError(SignalboxError):
    """A refusal in a vendor's own words, which one answer does not make certain.

    `status` is the HTTP status, 200 for refusals inside a GraphQL answer.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotFound(VendorError):
    """The vendor does not know the thing, or hides it from us."""


class PullRequestUnknown(NotFound):
    """The repository is there, and has no pull request of that number."""


class Unauthorized(VendorError):
    """Our credentials are refused, or lack what the call needs."""


def is_locked(error: VendorError) -> bool:
    """Whether GitHub takes no comment there: a locked conversation is so on purpose, and stays so.

    It answers 403 `Unable to create comment because issue is locked.` (github.com/probot/stale/issues/25).
    """
    return "is locked" in str(error)


class Refused(VendorError):
    """Understood and declined."""


class Final(Refused):
    """Declined for a reason that waiting does not change."""
