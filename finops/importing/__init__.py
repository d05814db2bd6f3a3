"""From files of FOCUS rows to documents of a source collection.

``reading`` takes files apart (``csv_files``, ``parquet_files``), ``rows`` (with ``cells`` and
``key_values``) turns their text into documents and counts every ``defect``, ``identity`` gives
documents their ``_id``, ``loading`` writes them, and ``importing.run`` is the whole of it.
"""
