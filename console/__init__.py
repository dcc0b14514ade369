"""For staff, operators and programs: pages, JSON API, the command line `spp`, and alerts to people.

Imports everything but `bench` and `deploy`. Main verb: `web.app.create_app`.
"""
