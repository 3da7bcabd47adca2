"""The bill of materials of a release, in CycloneDX: what it contains and what is installed with it.

It follows from the lock file and the built archives alone, so that it is the same on every machine. It lists the
packages of every platform, in the versions that the tests ran with; installing may pick newer ones.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from scripts.supply_chain.archives import Member, ReleaseFlawError
from scripts.supply_chain.lock_file import Locked, needed_by


FILE: Final = "freshkey.cdx.json"

_NAMESPACE: Final = uuid.UUID("6d3c2b5a-6a39-5c1b-9a0e-4f2f6f8b7d11")
"""Made up once, for serial numbers that follow from the contents."""


def bill_of_materials(
    released: Iterable[Member], runtime: Iterable[Locked], digests: Mapping[str, str], *, epoch: int
) -> str:
    """Return the bill of materials as JSON text.

    Args:
        released: The members.
        runtime: The locked packages that any of them needs.
        digests: SHA-256 of the built archives, by file name.
        epoch: The time of the release, in seconds since 1970-01-01T00:00:00Z.
    """
    released, runtime = tuple(released), tuple(runtime)
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, repr(sorted(digests.items()))))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    root = Component(
        name="freshkey-workspace", version=released[0].version, type=ComponentType.APPLICATION, bom_ref="release"
    )
    bom.metadata.component = root
    members = {one.name: _member_component(one, digests) for one in released}
    packages = {one: _package_component(one) for one in runtime}
    for component in (*members.values(), *packages.values()):
        bom.components.add(component)
    bom.register_dependency(root, members.values())
    for one in released:
        needed = [packages[it] for it in runtime if one.name in it.needed_by]
        needed += [component for name, component in members.items() if name in one.requirements]
        bom.register_dependency(members[one.name], needed)
    for package, component in packages.items():
        bom.register_dependency(component, [packages[it] for it in runtime if package.name in it.needed_by])
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return text + "\n"


def check(text: str) -> None:
    """Check a bill of materials against CycloneDX's own schema.

    Raises:
        ReleaseFlawError: It does not follow the schema.
    """
    if flaw := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ReleaseFlawError(f"{FILE} does not follow the schema of CycloneDX 1.6: {flaw}")


def runtime_packages(locked: Iterable[Locked], released: Iterable[Member]) -> tuple[Locked, ...]:
    """Return the locked packages that users of any member install, other than the members."""
    names = {one.name for one in released}
    return tuple(one for one in needed_by(locked, names) if one.name not in names)


def _member_component(member: Member, digests: Mapping[str, str]) -> Component:
    archives = {name: value for name, value in digests.items() if name.startswith(f"{member.package}-{member.version}")}
    return Component(
        name=member.name,
        version=member.version,
        type=ComponentType.LIBRARY,
        bom_ref=member.name,
        purl=PackageURL("pypi", None, member.name, member.version),
        components=[_file_component(name, value) for name, value in archives.items()],
    )


def _file_component(name: str, digest: str) -> Component:
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
    return Component(name=name, type=ComponentType.FILE, bom_ref=name, hashes=hashes)


def _package_component(package: Locked) -> Component:
    # `hashes` is for one file, and the lock has those of a package's files for all platforms, without their names.
    hashes = [Property(name="freshkey:sha256", value=value) for value in package.hashes]
    marker = [Property(name="freshkey:marker", value=package.marker)] if package.marker else []
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{package.name}=={package.version}",
        purl=PackageURL("pypi", None, package.name, package.version),
        properties=[*hashes, *marker],
    )
