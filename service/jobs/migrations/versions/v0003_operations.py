"""Events, turns of callers, webhooks to deliver, contexts of traces, and counters that outlive the rows they counted.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Audits that run during the upgrade have shown one state so far.
    op.add_column("audit_progress", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("audit", sa.Column("traceparent", sa.Text))
    op.create_table(
        "audit_event",
        sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("fraction", sa.Float, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("detail", sa.Text),
    )
    op.create_table(
        "turn",
        sa.Column("queue", sa.Text, primary_key=True),
        sa.Column("priority", sa.Integer, primary_key=True),
        sa.Column("caller", sa.Text, primary_key=True),
        sa.Column("next", sa.Integer, nullable=False),
    )
    op.create_table(
        "callback",
        sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("callback_due", "callback", ["state", "due_at"])
    op.create_table(
        "tally",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("bucket", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
    )


def downgrade() -> None:
    for table in ("tally", "callback", "turn", "audit_event"):
        op.drop_table(table)
    op.drop_column("audit", "traceparent")
    op.drop_column("audit_progress", "version")
