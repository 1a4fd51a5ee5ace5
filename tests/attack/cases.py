"""All cases, by kind."""

from tests.attack import (
    as_json,
    belonging,
    cached,
    environment,
    formats,
    images,
    interrupts,
    labels,
    metadata,
    names,
    network,
    places,
    ranges,
    sizes,
    special,
    systems,
    usage,
)
from tests.attack.case import Case

KINDS: dict[str, list[Case]] = {
    "metadata": metadata.CASES,
    "special files": special.CASES,
    "images": images.CASES,
    "formats": formats.CASES,
    "sizes": sizes.CASES,
    "labels": labels.CASES,
    "ranges": ranges.CASES,
    "places": places.CASES,
    "belonging": belonging.CASES,
    "cache": cached.CASES,
    "environment": environment.CASES,
    "file systems": systems.CASES,
    "names": names.CASES,
    "JSON": as_json.CASES,
    "network": network.CASES,
    "interrupts": interrupts.CASES,
    "usage": usage.CASES,
}
