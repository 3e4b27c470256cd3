"""Whether a merge changes anything that a service is deployed for. In doubt it does."""

from __future__ import annotations

from shared.core.watch_paths import touched
from shared.errors import Final, VendorError
from shared.runtime import log
from shared.runtime.config import TargetConfig
from shared.runtime.services import Services


async def touches(services: Services, place: TargetConfig, number: int, *, refused_long: bool) -> bool:
    """Whether the merged pull request changes a file that the target's paths, or Railway's watch patterns, name.

    A list of files that GitHub cuts short counts as touched, and so does what a vendor refuses to tell, once that has
    lasted (`refused_long`). Raises VendorError before, for the stage to ask again, and TransientError.
    """
    try:
        patterns = await _patterns(services, place)
        files = await services.github.changed_files(place.repository, number) if patterns else None
    except VendorError as error:
        if not (refused_long or isinstance(error, Final)):
            raise
        log.warning("it is not known what the merge touches; it is deployed", target=place.id, reason=str(error))
        return True
    return not files or touched(patterns, files)


async def _patterns(services: Services, place: TargetConfig) -> tuple[str, ...]:
    if place.paths is not None:
        return place.paths
    service = await services.railway_for(place).service(
        environment_id=place.environment_id, service_id=place.service_id
    )
    return service.watch_patterns
