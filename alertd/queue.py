"""Rings the workers over RQ. A job is a ticket, "channel X has work due"; it carries no state and may be lost."""

from typing import Final

import redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer

JOB: Final = "workers.jobs.deliver"
_TICKET_LIFE: Final = 600  # seconds: a ticket nobody took is worth nothing, the clock writes new ones


_TIMEOUT: Final = 2.0  # seconds: whoever rings must never be held up for long


def connect(url: str) -> redis.Redis:
    """A client that gives up quickly."""
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)


def queue_name(instance: str, channel: str) -> str:
    return f"alertd-{instance}-{channel}"


def open_queue(client: redis.Redis, instance: str, channel: str) -> Queue:
    return Queue(queue_name(instance, channel), connection=client, serializer=JSONSerializer)


def ring(client: redis.Redis, instance: str, channel: str) -> None:
    """Put tickets down until there is one for each worker of the channel. Raises RedisError.

    No more than that: tickets would pile up while the workers are away.
    """
    queue = open_queue(client, instance, channel)
    listening = max(1, Worker.count(queue=queue))
    for _ in range(listening - queue.count):
        queue.enqueue(JOB, channel, job_timeout=-1, result_ttl=0, failure_ttl=0, ttl=_TICKET_LIFE)
