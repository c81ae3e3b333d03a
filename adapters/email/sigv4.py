"""
AWS Signature Version 4 of one request. (The libraries that sign bring an SDK of some 80 MB along,
or a client of their own; a signature is forty lines.)

Reference: AWS General Reference, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


def signed_headers(
    url: str,
    body: bytes,
    *,
    method: str = "POST",
    now: float,
    region: str,
    service: str,
    key_id: str,
    secret: str,
    session_token: str | None = None,
    content_type: str = "application/json",
) -> dict[str, str]:
    """
    The headers of a request with ``body`` for ``url`` (without a query), its signature among them;
    ``now`` is UTC seconds.
    """
    parts = urlsplit(url)
    moment = datetime.fromtimestamp(now, UTC)
    at, day = moment.strftime("%Y%m%dT%H%M%SZ"), moment.strftime("%Y%m%d")
    headers = {"content-type": content_type, "host": parts.netloc, "x-amz-date": at}
    if session_token is not None:
        headers["x-amz-security-token"] = session_token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    path = quote(parts.path or "/", safe="/~")
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(
        key, f"{ALGORITHM}\n{at}\n{scope}\n{digest}".encode(), "sha256"
    ).hexdigest()
    authorization = (
        f"{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    named = {name.title(): value for name, value in headers.items() if name != "host"}
    return {**named, "Accept": "application/json", "Authorization": authorization}
