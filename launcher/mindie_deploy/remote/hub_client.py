"""Talks to hubs and web servers from the controller. The hosts have a reader of their own (plugins/mindie_exchange)."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx

from mindie_deploy.errors import UsageError
from mindie_deploy.weights.hub import HubSource, hub_headers
from mindie_deploy.weights.hub_web import HubError, HubUnreachableError, WebAnswer

CONNECT_S = 20.0
READ_S = 60.0
LONGEST_S = 600.0  # for one answer, however slowly it comes
MOST_REDIRECTS = 5
MOST_TRIES = 5
LONGEST_PAUSE_S = 60.0
AGENT = "mindie-deploy"


class HubClient:
    """A WebReader. The token goes to the server of `source` alone; proxies of the environment are passed by."""

    def __init__(
        self,
        source: HubSource,
        *,
        token: str = "",
        proxy: str = "",
        ca_file: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Takes the settings weights_hub_token, weights_proxy and weights_hub_ca_file. Raises UsageError."""
        self._own = _origin(source.endpoint)
        self._login = hub_headers(source.kind, token)
        self._sleep = sleep
        context = ssl.create_default_context()
        if ca_file:
            try:
                context.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(
                    f"mindie_weights_hub_ca_file: {ca_file} cannot be used: {error}",
                    "give a file of certificates in PEM",
                ) from error
        self._client = httpx.Client(
            verify=context,
            proxy=proxy or None,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity", "Accept": "*/*"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, url: str, *, largest: int, span: tuple[int, int] | None = None) -> WebAnswer:
        """See WebReader. Broken connections, 429 and 5xx are tried again, as long as the server asks to wait."""
        tries = 0
        while True:
            tries += 1
            pause = random.uniform(0.5, 1) * 2 ** (tries - 1)  # noqa: S311
            try:
                answer = self._follow(url, largest, span)
            except httpx.HTTPError as error:
                if tries >= MOST_TRIES or _refused(error):
                    raise self._explained(url, error) from error
            else:
                if tries >= MOST_TRIES or not (answer.status == 429 or answer.status >= 500):
                    return answer
                told = answer.headers.get("retry-after", "")
                pause = max(pause, float(told)) if told.isascii() and told.isdigit() else pause
            self._sleep(min(pause, LONGEST_PAUSE_S))

    def _follow(self, url: str, largest: int, span: tuple[int, int] | None) -> WebAnswer:
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._once(url, largest, span)
            location = answer.headers.get("location", "")
            if not 300 <= answer.status < 400 or not location:
                return answer
            following = urljoin(url, location)
            if urlsplit(following).scheme not in ("https", urlsplit(url).scheme):
                raise HubError(f"{shown(url)} redirects to {shown(following)}, which is not followed from https")
            url = following
        raise HubError(f"{shown(url)}: more than {MOST_REDIRECTS} redirects")

    def _once(self, url: str, largest: int, span: tuple[int, int] | None) -> WebAnswer:
        headers = dict(self._login) if _origin(url) == self._own else {}
        if span is not None:
            headers["Range"] = f"bytes={span[0]}-{span[1]}"
        body = bytearray()
        ends = time.monotonic() + LONGEST_S
        try:
            with self._client.stream("GET", url, headers=headers) as answer:
                for block in answer.iter_raw():
                    body += block
                    if len(body) > largest:
                        break
                    if time.monotonic() > ends:
                        raise httpx.ReadTimeout(f"only {len(body)} bytes came within {LONGEST_S:.0f} s")
                told: Mapping[str, str] = {name.lower(): value for name, value in answer.headers.items()}
        except httpx.InvalidURL as error:
            raise HubError(f"{shown(url)} is no address: {error}") from error
        if told.get("content-encoding", "identity") != "identity":
            raise HubError(f"{shown(url)}: the server sends it encoded, unasked")
        return WebAnswer(url, answer.status_code, told, bytes(body[:largest]), len(body) > largest)

    def _explained(self, url: str, error: httpx.HTTPError) -> HubUnreachableError:
        words = str(error) or type(error).__name__
        what = f"{shown(url)}: {words}"
        if "CERTIFICATE_VERIFY_FAILED" in words:
            return HubUnreachableError(
                what, "if a company's proxy or mirror has a CA of its own, name it in mindie_weights_hub_ca_file"
            )
        if isinstance(error, httpx.ProxyError):
            return HubUnreachableError(what, "check mindie_weights_proxy and its login")
        return HubUnreachableError(
            what,
            "check that this machine reaches the hub: mindie_weights_proxy names a proxy, mindie_weights_hub_endpoint "
            "a mirror; the environment's proxies are not used",
        )


def shown(url: str) -> str:
    """Returns a URL for messages: without its query, which may be a signature, and without a login."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _refused(error: httpx.HTTPError) -> bool:
    """Whether another try is useless."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error) or isinstance(error, httpx.ProxyError | httpx.UnsupportedProtocol)
