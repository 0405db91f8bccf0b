"""What users can mend: the base of all errors whose message is for them."""

from __future__ import annotations


class UserError(ValueError):
    """Something that the user named or asked for cannot be used; the message says what, where and what to do.

    Commands end with this message as one sentence and no traceback.
    """
