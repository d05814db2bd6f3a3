"""Why an import stopped. Messages name the file and what to do, and never quote a row.

ImportFailedError
├── UnreadableFileError   the file cannot be opened, unpacked or taken apart
├── NotFocusError         the header is not that of FOCUS rows
└── LoadingError          the collection refused a read or a write
"""


class ImportFailedError(Exception):
    """Any reason for which an import stops. Its text is meant for people."""


class UnreadableFileError(ImportFailedError):
    """The file cannot be opened, unpacked or taken apart into rows."""


class NotFocusError(ImportFailedError):
    """The file's header is not that of FOCUS rows."""


class LoadingError(ImportFailedError):
    """The collection refused a read or a write."""
