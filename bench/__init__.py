"""What we claim about speed, and the peers we claim it against: `python -m bench.run`."""
