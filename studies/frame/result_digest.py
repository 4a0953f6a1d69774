"""The digest by which a stored result shows that nobody has edited it since it was saved.

It covers everything in the file: the rows, the verdict, the settings and also `inputs`, so that an old result cannot
pass for a new one. It is a checksum and no signature: whoever edits a number and computes the digest again is found out
only by a new run (`python -m studies check --fresh NAME`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "digest"


def content_digest(record: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the record of a result, without the digest that it may hold.

    `record` has only what JSON can express. The digest belongs to its content: order of keys and layout do not matter.
    """
    content = {key: value for key, value in record.items() if key != KEY}
    # Tuples become lists and keys become text, as they do in the file; only then is the order of the keys the same.
    as_loaded = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(as_loaded, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
