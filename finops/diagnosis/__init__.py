"""``manage.py test_auth``: what is looked at, in which order, and how it is shown."""
