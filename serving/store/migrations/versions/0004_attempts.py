"""How often a job was begun since it last came forward."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Jobs of before have not been begun too often."""
    op.add_column(
        "jobs", sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
