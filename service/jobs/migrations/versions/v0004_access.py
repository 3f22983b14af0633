"""Uploads, which audits name them, and access keys.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "upload",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("upload_of_caller", "upload", ["caller", "id"])
    op.create_index("upload_expiry", "upload", ["expires_at"])
    op.create_table(
        "audit_upload",
        sa.Column("audit_id", sa.Text, sa.ForeignKey("audit.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("upload_id", sa.Text, sa.ForeignKey("upload.id", ondelete="CASCADE"), primary_key=True),
    )
    op.create_index("audit_upload_upload", "audit_upload", ["upload_id"])
    op.create_table(
        "access_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
    )


def downgrade() -> None:
    for table in ("access_key", "audit_upload", "upload"):
        op.drop_table(table)
