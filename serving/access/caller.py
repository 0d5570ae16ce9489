"""Who is asking."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal


class Role(StrEnum):
    """What a caller is to the service; one may be several."""

    PATIENT = "patient"
    CAREGIVER = "caregiver"
    APP = "app"
    CLINICIAN = "clinician"
    ENGINEER = "engineer"
    ADMIN = "admin"


@dataclass(frozen=True)
class Caller:
    """Who is asking, as their credentials say: `roles`, `clinics` and `patients` are theirs.

    `subject` is unique over all issuers and API keys; a stranger's is their network address.
    `name` is what a page calls them, and decides nothing.
    """

    subject: str
    kind: Literal["token", "key", "session", "stranger"]
    roles: frozenset[Role] = frozenset()
    clinics: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    name: str = ""


def stranger(address: str) -> Caller:
    """Somebody without valid credentials, known by their network alone.

    A host of IPv6 commands all addresses of its /64: they count as one.
    """
    try:
        found = ip_address(address)
    except ValueError:  # a socket without an address
        return Caller(address, "stranger")
    if isinstance(found, IPv6Address):
        network = ip_network((found, 64), strict=False)
        return Caller(str(found.ipv4_mapped or network), "stranger")
    return Caller(str(found), "stranger")
