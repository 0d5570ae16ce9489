"""Files that are read in, and what became of their rows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make their table."""
    op.create_table(
        "imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("received", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed_file", sa.LargeBinary()),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_imports_patient_id"),
    )
    op.create_index("ix_imports_patient_id", "imports", ["patient_id"])


def downgrade() -> None:
    """Forget them."""
    op.drop_table("imports")
