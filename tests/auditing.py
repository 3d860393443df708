"""The audit that lies beside a database."""

from feedback_db.audit import Audit
from feedback_db.database import Database


def open_audit(db: Database) -> Audit:
    """Open the audit in the folder of a database, with a key of its own."""
    return Audit(db.path.with_name("audit.key"), db.path.with_name("audit.head"))
