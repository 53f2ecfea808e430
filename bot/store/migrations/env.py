"""How Alembic reaches the database: through the connection it is handed."""

from typing import Any

from alembic import context

PARTITIONED = ("message", "observation", "audit")


def ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    """Partitions are made by the months, not by the models; the engine's schema is the engine's."""
    return not (kind == "table" and name is not None and name.startswith(tuple(f"{t}_p" for t in PARTITIONED)))


config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes.get("metadata"),
    include_object=ours,
    compare_type=True,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
