"""Hostile input, drawn from a seed: deliveries to every endpoint, and requests to every page and route.

May import everything but tests. Its main verb: `python -m bench.fuzz`.
"""
