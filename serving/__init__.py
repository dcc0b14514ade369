"""The HTTP server in front of the webhook server and the console: Granian with our limits, a watchdog, `/metrics`.

A request takes one of a few threads only when all of it has arrived, so that slow clients hold up nobody. Imports
`models` and `runtime`; the apps are loaded by name. Main verb: `command.main`, which is `spp-serve`.
"""
