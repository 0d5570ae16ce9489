"""What the store refuses or cannot do. No error carries a person's data.

TwinError
├── StoreError          the database cannot be used now; asking again later may help
│   └── VaultError      sealed data cannot be opened: the master key is missing or another
├── UnknownError        there is no such patient, share, key or forecast
├── ConflictError       somebody else changed it meanwhile
├── PrivacyError        an export would let people be recognised
└── AuditError          the audit log was tampered with
"""

from hybridtwin.errors import TwinError


class StoreError(TwinError):
    """The database cannot be used now."""

    code = "store-unavailable"


class VaultError(StoreError):
    """Sealed data cannot be opened."""

    code = "vault-closed"


class UnknownError(TwinError):
    """There is nothing of this name."""

    code = "not-found"


class ConflictError(TwinError):
    """Somebody else changed it meanwhile."""

    code = "conflict"


class PrivacyError(TwinError):
    """An export would let people be recognised."""

    code = "too-few-alike"


class AuditError(TwinError):
    """The audit log was tampered with."""

    code = "audit-broken"
