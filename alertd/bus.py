"""Redis pub/sub between processes: a bell that carries nothing but what to look at. Losing it costs a second."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import redis
import redis.asyncio
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

EVENTS: Final = "events"
CHANGED: Final = "changed:"
_TIMEOUT: Final = 2.0
_RETRY_SECONDS: Final = 1.0


def _topic(instance: str) -> str:
    return f"alertd:{instance}:bell"


def publish(client: redis.Redis, instance: str, word: str) -> None:
    """Ring in every process of this installation. Raises RedisError."""
    client.publish(_topic(instance), word)


async def listen(url: str, instance: str, heard: Callable[[str], None]) -> None:
    """Call `heard` with every word that is rung, until cancelled. A break is mended; what was rung during it is lost,
    so `heard` gets EVENTS after each one.
    """
    while True:
        client = redis.asyncio.Redis.from_url(url, socket_connect_timeout=_TIMEOUT, health_check_interval=10)
        try:
            async with client.pubsub() as subscription:
                await subscription.subscribe(_topic(instance))
                heard(EVENTS)
                async for message in subscription.listen():
                    if message["type"] == "message":
                        heard(message["data"].decode())
        except (RedisError, OSError) as error:
            log.warning("the bell cannot be heard (%s); looking by ourselves meanwhile", type(error).__name__)
        finally:
            await client.aclose()
        await asyncio.sleep(_RETRY_SECONDS)
