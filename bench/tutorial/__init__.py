"""The peer: the same service as a careful reader of the tutorials writes it.

Flask, the processor's library to verify, one ORM insert per event, one Celery
task per event, one ORM transaction per task. It dedupes by a unique key and
marks an event in the transaction of its effects, as the better tutorials tell.
"""
