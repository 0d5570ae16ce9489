"""The store as it begins."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make all tables, and let nobody change the audit log."""
    if op.get_bind().dialect.name == "postgresql":  # on SQLite it is a file of its own
        op.execute("CREATE SCHEMA IF NOT EXISTS vault")
    op.create_table(
        "data_keys",
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("master_key_id", sa.String(16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient_id", name="pk_data_keys"),
        schema="vault",
    )
    op.create_table(
        "patients",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("clinic", sa.String(255)),
        sa.Column("created", _INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("erased", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_patients"),
    )
    op.create_index("ix_patients_clinic", "patients", ["clinic"])
    _table_of_patients(
        "observations",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.Column("time", _INSTANT, nullable=False),
        sa.Column("received", _INSTANT, nullable=False),
        sa.Column("replaced", _INSTANT),
        sa.Column("withdrawn", _INSTANT),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    _unique_where("uq_observations_live", "observations", "identity", "replaced IS NULL")
    op.create_index(
        "ix_observations_patient_id_kind_time", "observations", ["patient_id", "kind", "time"]
    )
    _table_of_patients(
        "complete_logs",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("begin", _INSTANT, nullable=False),
        sa.Column("end", _INSTANT, nullable=False),
        sa.Column("received", _INSTANT, nullable=False),
    )
    span = ["patient_id", "source", "kind", "begin", "end"]
    op.create_index("uq_complete_logs", "complete_logs", span, unique=True)
    _table_of_patients(
        "issued",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("time", _INSTANT, nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_issued_patient_id_kind_time", "issued", ["patient_id", "kind", "time"])
    _table_of_patients(
        "consents",
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("given", _INSTANT, nullable=False),
        sa.Column("ended", _INSTANT),
    )
    _unique_where("uq_consents_standing", "consents", "purpose", "ended IS NULL")
    _table_of_patients(
        "shares",
        sa.Column("subject", sa.String(512), nullable=False),
        sa.Column("scopes", sa.String(64), nullable=False),
        sa.Column("created", _INSTANT, nullable=False),
        sa.Column("begin", _INSTANT, nullable=False),
        sa.Column("end", _INSTANT, nullable=False),
        sa.Column("revoked", _INSTANT),
    )
    op.create_index("ix_shares_patient_id", "shares", ["patient_id"])
    op.create_index("ix_shares_subject", "shares", ["subject"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("roles", sa.String(255), nullable=False),
        sa.Column("clinics", sa.String(4096), nullable=False),
        sa.Column("patient_id", sa.Uuid()),
        sa.Column("created", _INSTANT, nullable=False),
        sa.Column("expires", _INSTANT),
        sa.Column("revoked", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_api_keys_patient_id"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("clinic", sa.String(255)),
        sa.Column("patient_id", sa.Uuid()),
        sa.Column("actor", sa.String(512), nullable=False),
        sa.Column("created", _INSTANT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("last", sa.Uuid()),
        sa.Column("worker", sa.Uuid()),
        sa.Column("alive", _INSTANT),
        sa.Column("finished", _INSTANT),
        sa.Column("problem", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_jobs_patient_id"),
    )
    op.create_index("ix_jobs_state_created", "jobs", ["state", "created"])
    op.create_table(
        "audit",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("time", _INSTANT, nullable=False),
        sa.Column("actor", sa.String(512), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("patient_id", sa.Uuid()),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit"),
    )
    op.create_index("ix_audit_patient_id", "audit", ["patient_id"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    op.bulk_insert(head, [{"id": 1, "sequence": 0, "digest": bytes(32)}])
    _append_only("audit")


def downgrade() -> None:
    """There is nothing before; delete the database instead."""
    raise NotImplementedError


def _table_of_patients(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=f"fk_{name}_patient_id"),
    )


def _unique_where(name: str, table: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    columns = ["patient_id", column]
    op.create_index(name, table, columns, unique=True, sqlite_where=where, postgresql_where=where)


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_is_append_only()"
        )
        return
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_allows_no_{what.lower()} BEFORE {what} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
