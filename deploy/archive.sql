-- PostgreSQL keeps its WAL in /backup/wal: with a base backup, any later moment can be restored (docs/operations.md).
-- Run it as a superuser; archive_mode begins with the next restart.
ALTER SYSTEM SET archive_mode = on;
ALTER SYSTEM SET archive_command = 'test ! -f /backup/wal/%f && cp %p /backup/wal/%f';
ALTER SYSTEM SET archive_timeout = '60s';
