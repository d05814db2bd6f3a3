"""Django's signal of every authentication event, for whoever wants to act on one.

    @receiver(authentication_event, sender=AuthEvent.TOKEN_REFUSED)
    def tell_somebody(*, correlation_id, scope, **facts): ...

Receivers run in the thread of the event and must be quick. What they raise is logged and changes
nothing. A token never is among the facts.
"""

from django.dispatch import Signal

# sender: the AuthEvent. Keywords: correlation_id, and the facts of the event's log line.
# Cached: without it, every look for receivers would take the signal's lock.
authentication_event = Signal(use_caching=True)
