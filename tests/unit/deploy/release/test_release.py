"""The bill of materials has every package of the lock file, and a licence that nobody allowed is found."""

from __future__ import annotations

from importlib import metadata

import pytest

from deploy.release.__main__ import licence_faults, licence_of, required_names
from deploy.release.bill_of_materials import LockedPackage, bill_of_materials, locked_packages, shipped
from deploy.release.licences import is_allowed, licence_expression

LOCK = f"""
# comment
Faust_Streaming==0.15.3 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
    # via weir
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:{"c" * 64}
"""


def test_every_package_of_the_lock_is_in_the_bill_with_its_hashes() -> None:
    packages = locked_packages(LOCK)
    assert packages == [
        LockedPackage("faust-streaming", "0.15.3", ("a" * 64, "b" * 64)),
        LockedPackage("colorama", "0.4.6", ("c" * 64,)),
    ]
    document = bill_of_materials(
        "1", packages, {"colorama": "BSD-3-Clause"}, {"faust-streaming"}, ["lz4-java-1.8.0.jar"]
    )
    assert [(part["name"], part["version"], part["scope"]) for part in document["components"]] == [
        ("faust-streaming", "0.15.3", "required"), ("colorama", "0.4.6", "excluded"), ("lz4-java", "1.8.0", "optional"),
    ]  # fmt: skip
    assert document["components"][1]["licenses"] == [{"expression": "BSD-3-Clause"}]
    references = [part["bom-ref"] for part in document["components"]]
    assert document["dependencies"] == [{"ref": "weir", "dependsOn": references}]
    assert len(set(references)) == 3


def test_what_is_needed_is_followed_and_development_is_not() -> None:
    requires = {"weir": ["A.b"], "a-b": ["c"], "c": ["a_b"], "d": []}
    assert shipped(["weir"], requires) == {"weir", "a-b", "c"}
    assert {"confluent-kafka", "httpx"} <= set(required_names("weir"))
    assert "pytest" not in required_names("weir")


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True), ("MIT OR GPL-3.0-only", True), ("MIT AND GPL-3.0-only", False), ("", False),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-2.0)", True), ("(GPL-2.0 OR GPL-3.0) AND MIT", False),
        ("Apache-2.0 WITH LLVM-exception", True), ("LGPL-3.0-only", False),
    ],
)  # fmt: skip
def test_all_sides_of_and_must_be_allowed_and_one_of_or(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) == allowed


def test_what_a_package_says_of_its_licence_is_told_in_spdx() -> None:
    mit = "License :: OSI Approved :: MIT License"
    assert licence_expression("ISC", [mit], "") == "ISC"
    assert (
        licence_expression("", [mit, "License :: OSI Approved :: Apache Software License"], "") == "MIT AND Apache-2.0"
    )
    assert licence_expression("", ["License :: Other/Proprietary License"], "") == ""
    assert licence_expression("", [], "BSD\nlong text") == "BSD-3-Clause"
    assert is_allowed(licence_of("confluent-kafka"))


def test_a_licence_that_is_not_allowed_and_a_package_that_is_not_locked_are_told() -> None:
    present = metadata.version("httpx")
    packages = [LockedPackage("httpx", present, ()), LockedPackage("msgspec", "0", ())]
    faults = list(
        licence_faults(packages, {"httpx": "GPL-3.0-only", "msgspec": "MIT"}, {"weir", "httpx", "msgspec", "idna"})
    )
    assert [fault.partition(":")[0] for fault in faults] == [
        "httpx is licensed GPL-3.0-only",
        "idna is not in the lock file",
        "idna is licensed in words that are not known",
        f"msgspec is {metadata.version('msgspec')} here, and 0 in the lock file",
    ]
