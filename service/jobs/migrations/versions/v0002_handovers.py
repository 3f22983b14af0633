"""How many starts of an audit were ended by an orderly stop of the worker.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_progress", sa.Column("handovers", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("audit_progress", "handovers")
