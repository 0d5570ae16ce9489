"""What is kept, as tables.

Readable are only random identifiers, kinds, times, sources and who may do what. Whatever says
something about a person's body, food, medicine or name is in a column `sealed`.

The wrapped data keys live apart, in the schema `vault`: on SQLite a second file, on PostgreSQL a
schema that a dump can leave out. A backup without it stays unreadable once a key is destroyed.
"""

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

KEY_SCHEMA: Final = "vault"
NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(TypeDecorator[datetime]):
    """An aware time, kept and given back in UTC; SQLite knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be kept")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        found: datetime = value
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: Instant, bytes: LargeBinary, str: String(255)}  # noqa: RUF012


class DataKey(Base):
    """A person's data key, wrapped by a master key."""

    __tablename__ = "data_keys"
    __table_args__ = ({"schema": KEY_SCHEMA},)

    patient_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    master_key_id: Mapped[str] = mapped_column(String(16))
    wrapped: Mapped[bytes]


class PatientRow(Base):
    """A person; after erasure the tombstone, without clinic and content."""

    __tablename__ = "patients"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    clinic: Mapped[str | None] = mapped_column(index=True)
    created: Mapped[datetime]
    version: Mapped[int]
    sealed: Mapped[bytes | None]
    erased: Mapped[datetime | None]


class Observation(Base):
    """One version of one row; at most one version is live."""

    __tablename__ = "observations"
    __table_args__ = (
        Index(
            "uq_observations_live",
            "patient_id",
            "identity",
            unique=True,
            sqlite_where=text("replaced IS NULL"),
            postgresql_where=text("replaced IS NULL"),
        ),
        Index("ix_observations_patient_id_kind_time", "patient_id", "kind", "time"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("patients.id"))
    kind: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(64))
    identity: Mapped[bytes]
    time: Mapped[datetime]
    received: Mapped[datetime]
    replaced: Mapped[datetime | None]
    withdrawn: Mapped[datetime | None]
    sealed: Mapped[bytes]


class CompleteLog(Base):
    """A span in which a sender says that its log holds all that happened."""

    __tablename__ = "complete_logs"
    __table_args__ = (
        Index("uq_complete_logs", "patient_id", "source", "kind", "begin", "end", unique=True),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("patients.id"))
    kind: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(64))
    begin: Mapped[datetime]
    end: Mapped[datetime]
    received: Mapped[datetime]


class Issued(Base):
    """A forecast, belief, review, twin or comparison as it was issued."""

    __tablename__ = "issued"
    __table_args__ = (Index("ix_issued_patient_id_kind_time", "patient_id", "kind", "time"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("patients.id"))
    kind: Mapped[str] = mapped_column(String(16))
    time: Mapped[datetime]
    model: Mapped[str]
    sealed: Mapped[bytes]


class ConsentRow(Base):
    """One agreement to one version of one purpose's text."""

    __tablename__ = "consents"
    __table_args__ = (
        Index(
            "uq_consents_standing",
            "patient_id",
            "purpose",
            unique=True,
            sqlite_where=text("ended IS NULL"),
            postgresql_where=text("ended IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("patients.id"))
    purpose: Mapped[str] = mapped_column(String(16))
    version: Mapped[str] = mapped_column(String(64))
    given: Mapped[datetime]
    ended: Mapped[datetime | None]


class ShareRow(Base):
    """What somebody else may do with a person's data, and for how long."""

    __tablename__ = "shares"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("patients.id"), index=True)
    subject: Mapped[str] = mapped_column(String(512), index=True)
    scopes: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime]
    begin: Mapped[datetime]
    end: Mapped[datetime]
    revoked: Mapped[datetime | None]


class ApiKeyRow(Base):
    """A machine's key; only the hash of its secret is kept."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    roles: Mapped[str]
    clinics: Mapped[str] = mapped_column(String(4096))
    patient_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("patients.id"))
    created: Mapped[datetime]
    expires: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class SessionRow(Base):
    """Somebody's session in a browser; only the hash of its secret is kept."""

    __tablename__ = "sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    subject: Mapped[str] = mapped_column(String(512))
    created: Mapped[datetime]
    used: Mapped[datetime]
    expires: Mapped[datetime]
    sealed: Mapped[bytes]


class JobRow(Base):
    """Work that takes long, how far it is, and which process does it."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state_created", "state", "created"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    clinic: Mapped[str | None]
    patient_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("patients.id"))
    actor: Mapped[str] = mapped_column(String(512))
    created: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    done: Mapped[int]
    total: Mapped[int]
    last: Mapped[uuid.UUID | None]
    worker: Mapped[uuid.UUID | None]
    alive: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    finished: Mapped[datetime | None]
    problem: Mapped[str | None] = mapped_column(String(64))


class ImportRow(Base):
    """A file that is read in by the job of the same identifier, and what became of its rows."""

    __tablename__ = "imports"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("patients.id"), index=True)
    received: Mapped[datetime]
    sealed_file: Mapped[bytes | None]
    sealed: Mapped[bytes]


class SummaryRow(Base):
    """One part of what the panel shows of a person; always the latest."""

    __tablename__ = "summaries"

    patient_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("patients.id"), primary_key=True)
    part: Mapped[str] = mapped_column(String(16), primary_key=True)
    time: Mapped[datetime]
    sealed: Mapped[bytes]


class FollowUpRow(Base):
    """What somebody of the clinic did about a person: only ever added to."""

    __tablename__ = "follow_ups"
    __table_args__ = (Index("ix_follow_ups_patient_id_time", "patient_id", "time"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("patients.id"))
    time: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(512))
    kind: Mapped[str] = mapped_column(String(16))
    sealed: Mapped[bytes]


class AuditEntry(Base):
    """Who did what to whom; each entry carries the hash of the one before."""

    __tablename__ = "audit"

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    time: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(512))
    action: Mapped[str] = mapped_column(String(64))
    patient_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    previous: Mapped[bytes]
    digest: Mapped[bytes]


class AuditHead(Base):
    """The one row that says where the audit log ends; whoever appends locks it."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes]
