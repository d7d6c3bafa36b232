"""Bodies of error answers."""

import json


def content(body):
    """Return a body as bytes."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def envelope(message, code=None, error_type="error", param=None):
    """Return the bytes of today's envelope."""
    return content({"error": {"message": message, "type": error_type, "param": param, "code": code}})
