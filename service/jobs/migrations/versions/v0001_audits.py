"""Audits, their tags, progress and reports, and the leases of workers.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("request_hash", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("cancel_requested_at", sa.BigInteger),
        sa.UniqueConstraint("caller", "idempotency_key", name="audit_idempotency"),
    )
    op.create_index("audit_of_caller", "audit", ["caller", "id"])
    op.create_table(
        "audit_tag",
        sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index("audit_tag_value", "audit_tag", ["key", "value"])
    op.create_table(
        "audit_progress",
        sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("starts", sa.Integer, nullable=False),
        sa.Column("executor", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("fraction", sa.Float, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("detail", sa.Text),
    )
    op.create_table(
        "report",
        sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("executor", sa.Text, primary_key=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("pid_started", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("beat_at", sa.BigInteger, nullable=False),
        sa.Column("reaped_at", sa.BigInteger),
    )


def downgrade() -> None:
    for table in ("lease", "report", "audit_progress", "audit_tag", "audit"):
        op.drop_table(table)
