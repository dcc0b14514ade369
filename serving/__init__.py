"""The HTTP server in front of the webhook server and the console: Granian with our limits, a watchdog, `/metrics`.

A request gets one of a few threads only when it has arrived completely, so that slow clients delay nobody else. Imports
`models` and `runtime`; the apps are loaded by name. Main verb: `command.main`, which is `spp-serve`.
"""
