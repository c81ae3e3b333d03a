"""URLs that users supply lead to push services and nowhere else."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.outcomes import Refused
from orchestrator.dispatch.egress import (
    DENIED,
    PUSH_HOSTS,
    EgressForbidden,
    EgressGuard,
    denied,
    is_literal,
)
from orchestrator.dispatch.senders import AiohttpSender

DENIED_IPV4 = [network for network in DENIED if network.version == 4]
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/gAAAA"


class Names(AbstractResolver):
    """
    A name server with scripted answers; each list is one answer, the last one is
    repeated.
    """

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


# URLs


@pytest.mark.parametrize(
    "url",
    [
        ENDPOINT,
        "https://fcm.googleapis.com/fcm/send/abc:APA91b",
        "https://fcm.googleapis.com:443/wp/abc",
        "https://FCM.googleapis.com./wp/abc",
        "https://web.push.apple.com/QGuQyavXutnMHWQNcF8",
        "https://api.push.apple.com/x",
        "https://db5.notify.windows.com/w/?token=BQYAAA%2b%2f",
        "https://wns2-par02p.notify.windows.com/w/?token=abc",
    ],
)
def test_the_endpoints_of_the_known_push_services_pass(url: str) -> None:
    assert EgressGuard().check_url(url) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://fcm.googleapis.com/x", "https"),
        ("https://fcm.googleapis.com:8443/x", "443"),
        ("https://fcm.googleapis.com:0/x", "URL"),
        ("https://fcm.googleapis.com:99999/x", "URL"),
        ("https://user:secret@fcm.googleapis.com/x", "URL"),
        ("https://@fcm.googleapis.com/x", "URL"),
        ("https://fcm.googleapis.com@evil.example/x", "URL"),
        ("https://evil.example\\@fcm.googleapis.com/x", "URL"),
        ("https://evil.example#@fcm.googleapis.com/x", "allow-list"),
        ("https://evil.example?@fcm.googleapis.com/x", "allow-list"),
        ("https://fcm.googleapis.com.evil.example/x", "allow-list"),
        ("https://evilfcm.googleapis.com/x", "allow-list"),
        ("https://push.services.mozilla.com/x", "allow-list"),
        ("https://evilpush.services.mozilla.com/x", "allow-list"),
        ("https://.notify.windows.com/x", "URL"),
        ("https://a..push.services.mozilla.com/x", "URL"),
        (f"https://{'a' * 64}.push.apple.com/x", "URL"),
        (f"https://{'a.' * 120}push.apple.com/x", "URL"),
        ("https://notify.windows.com/x", "allow-list"),
        ("https://shop.example/x", "allow-list"),
        ("https://127.0.0.1/x", "literal"),
        ("https://127.1/x", "literal"),
        ("https://2130706433/x", "literal"),
        ("https://0x7f000001/x", "literal"),
        ("https://0x7f.0.0.0x1/x", "literal"),
        ("https://0177.0.0.1/x", "literal"),
        ("https://8.8.8.8/x", "literal"),
        ("https://[::1]/x", "literal"),
        ("https://[::ffff:8.8.8.8]/x", "literal"),
        ("https://fcm.googleapis.com\n.evil.example/x", "URL"),
        ("https://fcm.googleapis.com/\r\nHost: evil.example", "URL"),
        ("https://fcm.goo%67leapis.com/x", "URL"),
        ("https://fcm。googleapis.com/x", "URL"),
        ("https://fcm.googleapis.com /x", "URL"),
        ("https:///x", "URL"),
        ("https:fcm.googleapis.com/x", "URL"),
        ("//fcm.googleapis.com/x", "URL"),
        ("file:///etc/passwd", "URL"),
        ("gopher://fcm.googleapis.com/x", "URL"),
        ("https://[::1/x", "URL"),
        ("", "URL"),
    ],
)
def test_anything_else_is_forbidden_and_says_why(url: str, why: str) -> None:
    assert why in (EgressGuard().check_url(url) or "it passed")


@given(
    st.text(max_size=60),
    st.sampled_from(
        ["https://{}", "https://fcm.googleapis.com{}", "https://{}fcm.googleapis.com/"]
    ),
)
def test_no_url_crashes_the_guard_or_leads_elsewhere(noise: str, form: str) -> None:
    url = form.format(noise)
    if EgressGuard().check_url(url) is None:
        host = (URL(url, encoded=True).raw_host or "").rstrip(".").lower()
        assert host in PUSH_HOSTS or any(
            host.endswith(name[1:]) for name in PUSH_HOSTS if name.startswith("*.")
        )


def test_the_operators_own_origins_pass_every_guard() -> None:
    guard = EgressGuard(
        allow=["http://127.0.0.1:8090", "https://push.internal.example:8443", "http://[::1]:9000"]
    )
    assert guard.check_url("http://127.0.0.1:8090/push/abc") is None
    assert guard.check_url("https://push.internal.example:8443/x") is None
    assert guard.check_url("https://PUSH.internal.example.:8443/x") is None
    assert guard.check_url("http://[::1]:9000/x") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8091/x",
        "http://127.0.0.1/x",
        "https://127.0.0.1:8090/x",
        "http://push.internal.example:8443/x",
        "https://push.internal.example/x",
        "http://user@127.0.0.1:8090/x",
    ],
)
def test_an_allowed_origin_allows_nothing_beside_it(url: str) -> None:
    guard = EgressGuard(allow=["http://127.0.0.1:8090", "https://push.internal.example:8443"])
    assert guard.check_url(url) is not None


def test_the_allow_list_of_hosts_can_be_extended() -> None:
    guard = EgressGuard(hosts=[*PUSH_HOSTS, "*.push.example"])
    assert guard.check_url("https://eu.push.example/x") is None
    assert guard.check_url("https://push.example/x") is not None


@pytest.mark.parametrize("host", ["fcm.googleapis.com", "a1.example", "0xexample.com", "1.example"])
def test_a_name_with_digits_is_not_an_address(host: str) -> None:
    assert not is_literal(host)


# addresses


@pytest.mark.parametrize(
    "address",
    [
        *(
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
        ),
        *(
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
        ),
        *(
            "198.51.100.1",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
        ),
        *(
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
        ),
        *(
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378::1",
        ),
        *(
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
        ),
        *(
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fe80::1%eth0",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ),
        *("", "nonsense", "127.1", "1.2.3.4.5"),
    ],
)
def test_an_address_that_is_not_on_the_public_internet_is_denied(address: str) -> None:
    assert denied(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "8.8.8.8",
            "142.250.1.95",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "192.0.1.1",
        ),
        *(
            "2a00:1450:4001:830::200a",
            "2600:1901:0:94b6::",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
        ),
    ],
)
def test_a_public_address_is_not_denied(address: str) -> None:
    assert not denied(address)


@given(st.ip_addresses())
def test_what_python_calls_private_is_always_denied(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    mapped = isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None
    if not ip.is_global and not mapped:
        assert denied(str(ip))


@given(st.sampled_from(DENIED_IPV4).flatmap(lambda network: st.ip_addresses(network=network)))
def test_wrapping_a_denied_address_into_ipv6_does_not_help(ip: ipaddress.IPv4Address) -> None:
    number = int(ip)
    wrapped = [
        *(f"::ffff:{ip}", f"::{ip}", f"::ffff:0:{ip}", f"64:ff9b::{ip}", f"64:ff9b:1::{ip}"),
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
        f"2001:0:{number >> 16:x}:{number & 0xFFFF:x}::1",
    ]
    assert [address for address in wrapped if not denied(address)] == []


# resolving


async def test_a_name_with_public_addresses_is_resolved() -> None:
    names = Names(["142.250.1.95", "2a00:1450:4001:830::200a"])
    found = await EgressGuard(resolver=names).resolver.resolve("fcm.googleapis.com", 443)
    assert [one["host"] for one in found] == ["142.250.1.95", "2a00:1450:4001:830::200a"]


@pytest.mark.parametrize(
    "answer", [["127.0.0.1"], ["142.250.1.95", "10.0.0.1"], ["64:ff9b::7f00:1"], []]
)
async def test_one_forbidden_address_among_a_names_addresses_forbids_it(answer: list[str]) -> None:
    with pytest.raises(EgressForbidden):
        await EgressGuard(resolver=Names(answer)).resolver.resolve("fcm.googleapis.com", 443)


async def test_a_name_is_checked_each_time_it_is_resolved() -> None:
    resolver = EgressGuard(resolver=Names(["142.250.1.95"], ["127.0.0.1"])).resolver
    assert await resolver.resolve("fcm.googleapis.com", 443)
    with pytest.raises(EgressForbidden):
        await resolver.resolve("fcm.googleapis.com", 443)


async def test_an_operators_origin_may_resolve_to_a_private_address_on_its_own_port_only() -> None:
    guard = EgressGuard(allow=["https://fcm.googleapis.com:8443"], resolver=Names(["10.0.0.1"]))
    assert await guard.resolver.resolve("FCM.googleapis.com.", 8443)
    with pytest.raises(EgressForbidden):
        await guard.resolver.resolve("fcm.googleapis.com", 443)


# as the sender uses it


TAKEN = web.AppKey("TAKEN", list[str])


async def take(request: web.Request) -> web.Response:
    request.app[TAKEN].append(request.path)
    return web.Response(status=201)


@pytest.fixture
async def service() -> AsyncIterator[TestServer]:
    """A push service on loopback that remembers what reached it."""
    app = web.Application()
    app[TAKEN] = []
    app.router.add_post("/{anything:.*}", take)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


async def post(guard: EgressGuard, url: str) -> object:
    sender = AiohttpSender(guard=guard, connections=2)
    await sender.open()
    try:
        call = HttpCall(method="POST", url=url, headers={}, body=b"x", guarded=True)
        started = time.monotonic()
        return await sender.call(call, timeout_ms=5_000, start_by=started + 5, clock=time.time)
    finally:
        await sender.close()


async def test_a_guarded_call_whose_name_leads_inside_never_connects(service: TestServer) -> None:
    guard = EgressGuard(hosts=["push.example"], resolver=Names(["127.0.0.1"]))
    answer = await post(guard, "https://push.example/x")
    assert isinstance(answer, Refused) and answer.code == "endpoint_forbidden"
    assert service.app[TAKEN] == []


async def test_a_guarded_call_to_an_operators_origin_arrives(service: TestServer) -> None:
    url = str(service.make_url("/push/1"))
    answer = await post(EgressGuard(allow=[str(service.make_url("/"))]), url)
    assert isinstance(answer, HttpReply) and answer.status == 201
    assert service.app[TAKEN] == ["/push/1"]


async def test_a_guarded_call_to_a_forbidden_url_never_connects(service: TestServer) -> None:
    names = Names(["127.0.0.1"])
    answer = await post(EgressGuard(resolver=names), str(service.make_url("/push/1")))
    assert isinstance(answer, Refused) and answer.code == "endpoint_forbidden"
    assert (service.app[TAKEN], names.asked) == ([], [])


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """A name that points inside the second time it is asked is not asked a second time."""
    reached: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("sockname")[0])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    guard = EgressGuard(allow=[f"http://push.example:{port}"], resolver=names)
    await post(guard, f"http://push.example:{port}/x")
    server.close()
    await server.wait_closed()
    assert (reached, names.asked) == (["127.0.0.1"], ["push.example"])
