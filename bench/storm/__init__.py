"""A storm of faults on the real stack, with a count of its own beside it: `make storm`.

`world.py` draws what happens from one seed, `senders.py` makes it happen until each request has a definite answer,
`faults.py` breaks the stack meanwhile, `counted.py` adds up what must come of it, and `__main__.py` compares.
"""
