"""Proof that docker-compose.yml does what it promises, on a real Docker engine."""
