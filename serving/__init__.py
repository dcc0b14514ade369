"""The HTTP server in front of the webhook server and the console: Granian with our limits, and a watchdog.

A request takes one of a few threads only when all of it has arrived, so that slow clients hold up nobody. Imports
`models`, `settings` and `logs`; the apps are loaded by name. `spp-serve` starts it.
"""
