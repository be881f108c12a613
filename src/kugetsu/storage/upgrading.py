"""Bringing a database to the newest version. Imports Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, version: str = "head") -> None:
    """Run the migrations that are missing, in the transaction of the connection; one of `connecting.writing(remaking=True)`."""
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
        raise AssertionError("with foreign keys on, what belongs to a table would go with it when it is made anew")
    command.upgrade(configuration(connection), version)


def configuration(connection: Connection | None = None) -> Config:
    """What Alembic has to know."""
    # Its files are read with configparser, for which a percent sign in a path is special.
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
