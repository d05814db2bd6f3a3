"""How full a queue of the broker is, so that messages that nobody takes do not pile up in it."""

from typing import Any

from celery import current_app
from kombu import Queue
from kombu.exceptions import ChannelError, OperationalError

_BROKER_SECONDS = 3


def room_in(name: str, *, most: int) -> int:
    """Return how many more messages may wait in a queue for there to be ``most`` of them.

    Raises:
        OperationalError: the broker does not answer.
    """
    with current_app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=_BROKER_SECONDS)
        try:
            queue = Queue(name, channel=connection.default_channel)
            declared: Any = queue.queue_declare(passive=True)
            waiting = int(declared.message_count)
        except ChannelError:  # nobody has used the queue yet
            waiting = 0
        except connection.connection_errors as error:
            raise OperationalError("the broker went away") from error
    return max(0, most - waiting)
