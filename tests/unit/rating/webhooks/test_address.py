"""Where webhooks may go: public addresses, receivers that the operator names, and never Weir's own ports."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

import pytest

from rating.webhooks.receiver.address import AddressRefused, Rules, rules_of
from rating.webhooks.receiver.special_addresses import embedded_ipv4, is_never_a_receiver, is_public
from schemas.settings import Settings, SettingsError, load_settings

Reach = Literal["public", "loopback", "any"]
REACHES: tuple[Reach, ...] = ("public", "loopback", "any")


@pytest.mark.parametrize(
    ("address", "public", "loopback", "reach_any"),
    [
        ("93.184.216.34", True, True, True), ("2606:2800:220:1::1", True, True, True), ("127.0.0.1", False, True, True),
        ("::1", False, True, True), ("10.1.2.3", False, False, True), ("192.168.0.1", False, False, True),
        ("fd00::1", False, False, True),
        ("169.254.169.254", False, False, False), ("0.0.0.0", False, False, False), ("224.0.0.1", False, False, False),
        ("::ffff:10.0.0.1", False, False, True), ("::ffff:169.254.169.254", False, False, False),
        ("64:ff9b::7f00:1", False, True, True),
        ("2002:a00:1::", False, False, True), ("100.64.0.1", False, False, True), ("fe80::1", False, False, False),
        ("::7f00:1", False, True, True), ("::a9fe:a9fe", False, False, False), ("0.1.2.3", False, False, False),
        ("64:ff9b::5db8:d822", True, True, True), ("64:ff9b::a9fe:a9fe", False, False, False),
        ("64:ff9b:1::7f00:1", False, False, False),
        ("2002:5db8:d822::", True, True, True), ("2002:7f00:1::", False, True, True),
        ("2001::5db8:d822", False, False, False),
        ("::ffff:0:127.0.0.1", False, False, False), ("fec0::1", False, False, False), ("4000::1", False, False, False),
    ],
)  # fmt: skip
def test_addresses_of_inner_networks_are_not_sent_to(
    address: str, public: bool, loopback: bool, reach_any: bool
) -> None:
    refusals = [Rules(reach).refusal(address, 9000, "https") for reach in REACHES]
    assert [not refusal for refusal in refusals] == [public, loopback, reach_any]


@pytest.mark.parametrize(
    "address",
    [
        "192.0.0.1",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.9",
        "240.0.0.1",
        "255.255.255.255",
        "172.31.0.1",
        "100::1",
        "100:0:0:1::1",
        "2001:2::1",
        "2001:10::1",
        "2001:db8::1",
        "2001:100::1",
        "3fff::1",
        "3fff:fff::1",
        "5f00::1",
        "fc00::1",
        "fdff::1",
        "ff02::1",
        "::2",
        "1000::1",
    ],
)
def test_what_ianas_registries_keep_from_the_internet_is_not_public(address: str) -> None:
    inner = embedded_ipv4(ip_address(address))
    assert not is_public(inner) or is_never_a_receiver(inner)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "192.0.0.9",
        "192.0.0.10",
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
        "100.128.0.1",
        "172.32.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2001:1::1",
        "2001:3::1",
        "2001:4:112::1",
        "2001:20::1",
        "2001:30::1",
        "2620:4f:8000::1",
        "2001:200::1",
        "2400::1",
        "4000::",
        "3ffe::1",
    ],
)
def test_what_they_let_through_is_public(address: str) -> None:
    assert is_public(ip_address(address)) is (address != "4000::")


def test_a_named_receiver_is_sent_to_by_http_and_its_neighbours_are_not() -> None:
    rules = rules_of(Settings(webhook_allow="127.0.0.1:9000, [fd00::1]:80,localhost:9001"))
    for address, port in (
        ("127.0.0.1", 9000),
        ("::ffff:127.0.0.1", 9000),
        ("fd00::1", 80),
        ("127.0.0.1", 9001),
        ("::1", 9001),
    ):
        assert rules.refusal(address, port, "http") == ""
    assert rules.refusal("127.0.0.1", 9002, "http") == (
        "is an address of this machine; the operator names receivers here, WEIR_WEBHOOK_ALLOW=127.0.0.1:9002"
    )
    assert "private network" in rules.refusal("fd00::1", 81, "http")
    assert rules.refusal("127.0.0.2", 9000, "http")


@pytest.mark.parametrize("reach", REACHES)
def test_weirs_own_ports_are_nobodys_receivers_not_even_by_name(reach: Reach) -> None:
    own_text = "127.0.0.1:8123,127.0.0.1:9092,127.0.0.1:8080,127.0.0.1:8081,127.0.0.1:8082,127.0.0.1:6066,10.0.0.7:9093"
    rules = rules_of(
        Settings(
            webhook_reach=reach, webhook_allow=own_text, webhook_own_ports="6066,7", gateway_host="0.0.0.0",
            kafka_bootstrap="kafka:9092,10.0.0.7:9093,[::1]:9094",
        )
    )  # fmt: skip
    for port in (8123, 9092, 8080, 8081, 8082, 6066, 7, 9094):
        for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
            assert rules.refusal(address, port, "http") == "is a port of Weir's own parts", (address, port)
    assert rules.refusal("10.0.0.7", 9093, "https") == "is a port of Weir's own parts"


def test_a_namespace_of_this_machine_is_reached_where_the_operator_says_so_for_all_of_it() -> None:
    assert Rules("loopback").refusal("127.0.0.1", 9000, "http") == ""
    assert "WEIR_WEBHOOK_REACH=any, loopback now" in Rules("loopback").refusal("10.0.0.1", 9000, "https")


def test_the_addresses_that_may_be_sent_to_are_kept_in_order_and_refusals_say_the_remedy() -> None:
    assert Rules("loopback").choose("h", 1, ["10.0.0.1", "127.0.0.1", "93.184.216.34"], "http") == ["127.0.0.1"]
    assert Rules("any").choose("h", 1, ["10.0.0.1"], "http") == ["10.0.0.1"]
    with pytest.raises(AddressRefused, match="use https"):
        Rules().choose("h", 1, ["93.184.216.34"], "http")
    with pytest.raises(
        AddressRefused, match=r"h is an address of a private network; .*WEIR_WEBHOOK_ALLOW=10\.0\.0\.1:1.*public now"
    ):
        Rules().choose("h", 1, ["10.0.0.1"], "https")


@pytest.mark.parametrize(
    "text", ["9000", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "hooks.example:80", "127.0.0.1:9000x"]
)
def test_a_receiver_that_cannot_be_read_is_named_at_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match=r"WEIR_WEBHOOK_ALLOW.*write e.g. 127.0.0.1:9000"):
        load_settings(webhook_allow=text)
