"""Check that the migrations end in the schema that the models declare. Exits 1 with the differences if not."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from local.servers import Postgres
from models.database.engine import make_engine
from models.database.migrations import upgrade
from models.schema import differences


def main() -> int:
    with TemporaryDirectory() as folder, Postgres(Path(folder)) as postgres:
        upgrade(postgres.url())
        engine = make_engine(postgres.url())
        with engine.connect() as connection:
            found = differences(connection)
        engine.dispose()
    for difference in found:
        sys.stderr.write(f"The models and the migrated database differ: {difference}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
