"""The command line `spp`; one file for each family of commands.

Imports `local`, `worker`, `webhooks`, `models` and `runtime`; never the pages. Main verb: `command.main`.
"""
