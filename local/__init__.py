"""One machine: embedded PostgreSQL and Valkey, and the processes on them."""
