"""Django's signals of replication, for whoever uses what it copies."""

from django.dispatch import Signal

# An empty collection is about to be filled: the moment for indexes, which cost nothing yet, and
# which nobody waits for. sender: the flow's name. Keyword: destination, a Namespace. What receivers
# raise is logged and changes nothing: the copy is right without them.
copy_begins = Signal()
