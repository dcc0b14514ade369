"""What runs it elsewhere: see docs/operations.md."""
