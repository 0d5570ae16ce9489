"""What the clinic's panel shows of people, and what was done about them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make their tables."""
    op.create_table(
        "summaries",
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column("time", _INSTANT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient_id", "part", name="pk_summaries"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_summaries_patient_id"),
    )
    op.create_table(
        "follow_ups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("time", _INSTANT, nullable=False),
        sa.Column("actor", sa.String(512), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_follow_ups"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_follow_ups_patient_id"),
    )
    op.create_index("ix_follow_ups_patient_id_time", "follow_ups", ["patient_id", "time"])


def downgrade() -> None:
    """Forget them."""
    op.drop_table("follow_ups")
    op.drop_table("summaries")
