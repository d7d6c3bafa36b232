"""Bodies of error responses."""

import json


def content(body):
    """Return a body as bytes."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def envelope(message, code=None, error_type="error", param=None):
    """Return the bytes of the error body that the service sends today."""
    return content({"error": {"message": message, "type": error_type, "param": param, "code": code}})
