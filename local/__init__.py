"""One machine: embedded PostgreSQL and Valkey, the processes on them, stand-ins for processors, the demo.

Imports `webhooks`, `models` and `runtime`; worker and console are started as processes. Main verb: `stack.Stack.start`.
"""
