"""The least that an API with a database does: one insert a POST, one select a GET. The other side of `benchmarks.load`.

Usage: python -m benchmarks.bare_api PORT DATABASE
"""

import json
import sys
import uuid
from typing import Any

import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI

from service.jobs.database import connect
from service.settings import Settings

metadata = sa.MetaData()
item = sa.Table(
    "item",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)


def create_app(url: str) -> FastAPI:
    """Its database is reached as ours is: the same driver, pool and journal."""
    engine = connect(Settings(database=url))
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    metadata.create_all(engine)
    app = FastAPI()

    @app.post("/v1/audits", status_code=202)
    def submit(body: dict[str, Any]) -> dict[str, Any]:
        made = uuid.uuid4().hex
        with engine.begin() as connection:
            connection.execute(sa.insert(item).values(id=made, body=json.dumps(body)))
        return {"id": made, "body": body}

    @app.get("/v1/audits/{made}")
    def read(made: str) -> dict[str, Any]:
        with engine.connect() as connection:
            body = connection.execute(sa.select(item.c.body).where(item.c.id == made)).scalar_one()
        return {"id": made, "body": json.loads(body)}

    @app.get("/healthz")
    def is_alive() -> dict[str, str]:
        return {"status": "alive"}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
