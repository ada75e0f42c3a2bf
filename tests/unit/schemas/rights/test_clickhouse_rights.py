"""What a ClickHouse lacks of Weir's users and rights, and in which order it is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from schemas.rights.clickhouse_access import AnalystLimit, ClickHouseAccess, RowPolicy
from schemas.rights.clickhouse_rights import (
    Installation,
    analyst_profile,
    clickhouse_changes,
    policies_of,
    user_statement,
)
from schemas.rights.clickhouse_roles import BOUND_ANALYST, ROLES, Privilege, privileges, role_name
from schemas.rights.rights_document import ClickHouseUser, ClickHouseUsers, RightsError, read_password, read_rights

PLACE = Installation("weir", "", ("standing_invoices", "usage_total"), ("standing_invoices",))
SHOP = ClickHouseUser(name="shop-finance", role="analyst", namespaces=("shop",))
USERS = ClickHouseUsers(
    users=(ClickHouseUser(name="weir-worker", role="worker"), SHOP, ClickHouseUser(name="finance", role="analyst"))
)
NOTHING = ClickHouseAccess(
    frozenset(), frozenset(), {}, frozenset(), frozenset(), frozenset(), frozenset(), ("standing_invoices",)
)


def complete(place: Installation = PLACE, users: ClickHouseUsers = USERS) -> ClickHouseAccess:
    """A server on which everything has been made."""
    rights = {
        role_name(role): privileges(role, place.database, views=place.views, cluster=bool(place.cluster))
        for role in ROLES
    }
    rights[BOUND_ANALYST] = privileges("analyst", place.database, views=place.bound_views, cluster=False)
    limits = users.analyst_limits
    return ClickHouseAccess(
        users=frozenset(user.name for user in users.users),
        roles=frozenset(rights),
        rights=rights,
        role_grants=frozenset(
            (user.name, BOUND_ANALYST if user.namespaces else role_name(user.role)) for user in users.users
        ),
        policies=frozenset(
            policy for user in users.users if user.role == "analyst" for policy in policies_of(place, user)
        ),
        profile=analyst_profile(limits),
        quota=frozenset(
            {
                AnalystLimit("queries", str(limits.queries_per_hour)),
                AnalystLimit("execution_time", str(limits.seconds_per_hour)),
            }
        ),
        closed_views=(),
    )


def test_where_all_is_as_it_should_be_nothing_changes() -> None:
    assert clickhouse_changes(PLACE, USERS, complete()) == []


def test_an_empty_server_gets_everything_and_no_user_reads_before_its_rows_are_bounded(tmp_path: Path) -> None:
    users = ClickHouseUsers(
        users=tuple(user.model_copy(update={"password_file": str(tmp_path / user.name)}) for user in USERS.users)
    )
    changes = clickhouse_changes(PLACE, users, NOTHING)
    subjects = [change.subject for change in changes]
    assert {change.action for change in changes} == {"create", "set"}
    policy = subjects.index("row policy weir_shop-finance on standing_invoices")
    assert subjects.index("user shop-finance") < policy < subjects.index(f"role {BOUND_ANALYST}")
    given = [change.statements for change in changes if change.text.startswith("has the role")]
    assert given == [
        ("GRANT weir_worker TO `weir-worker`",),
        (f"GRANT {BOUND_ANALYST} TO `shop-finance`",),
        ("GRANT weir_analyst TO `finance`",),
    ]
    assert changes[policy].statements == (
        "CREATE ROW POLICY OR REPLACE `weir_shop-finance` ON weir.standing_invoices FOR SELECT"
        " USING namespace IN ('shop') AS PERMISSIVE TO `shop-finance`",
    )


def test_a_missing_user_without_a_password_file_is_the_operators_to_make() -> None:
    changes = clickhouse_changes(PLACE, USERS, NOTHING)
    assert {change.subject for change in changes if change.action == "by_hand"} == {
        f"user {user.name}" for user in USERS.users
    }
    assert not any(f"`{user.name}`" in text for user in USERS.users for change in changes for text in change.statements)


def test_a_right_too_much_is_revoked_and_an_odd_one_is_named() -> None:
    held = complete()
    beyond = {Privilege("DROP TABLE", "weir"), Privilege("SELECT(password)", "other", "users")}
    held.rights["weir_worker"] |= beyond
    changes = clickhouse_changes(PLACE, USERS, held)
    assert [(change.action, change.statements) for change in changes] == [
        ("set", ("REVOKE DROP TABLE ON weir.* FROM weir_worker",)),
        ("by_hand", ()),
    ]
    assert "SELECT(password) on other.users" in changes[1].text


def test_other_namespaces_and_other_roles_replace_what_was() -> None:
    both = SHOP.model_copy(update={"namespaces": ("shop", "bank")})
    users = USERS.model_copy(
        update={"users": (USERS.users[0].model_copy(update={"role": "rating"}), both, USERS.users[2])}
    )
    changes = clickhouse_changes(PLACE, users, complete())
    assert [statement for change in changes for statement in change.statements] == [
        "CREATE ROW POLICY OR REPLACE `weir_shop-finance` ON weir.standing_invoices FOR SELECT"
        " USING namespace IN ('bank', 'shop') AS PERMISSIVE TO `shop-finance`",
        "REVOKE weir_worker FROM `weir-worker`",
        "GRANT weir_rating TO `weir-worker`",
    ]


def test_who_left_the_document_keeps_its_policies_until_its_role_is_gone() -> None:
    less = USERS.model_copy(update={"users": (USERS.users[0], USERS.users[2])})
    held = complete()
    [change] = clickhouse_changes(PLACE, less, held)
    assert (change.subject, change.action) == ("user shop-finance", "by_hand")
    gone = replace(held, role_grants=frozenset(grant for grant in held.role_grants if grant[0] != "shop-finance"))
    [change] = clickhouse_changes(PLACE, less, gone)
    assert change.statements == ("DROP ROW POLICY IF EXISTS `weir_shop-finance` ON weir.standing_invoices",)


def test_a_policy_that_somebody_changed_is_put_back() -> None:
    held = complete()
    own = RowPolicy("weir_shop-finance", "standing_invoices", "namespace IN ('shop')", "shop-finance")
    assert own in held.policies
    wide = replace(held, policies=held.policies - {own} | {replace(own, condition="1")})
    [change] = clickhouse_changes(PLACE, USERS, wide)
    assert change.text == "namespace IN ('shop')"


def test_on_a_cluster_every_statement_goes_on_cluster() -> None:
    place = replace(PLACE, cluster="all")
    users = ClickHouseUsers(users=tuple(user.model_copy(update={"password_file": "x"}) for user in USERS.users))
    statements = [text for change in clickhouse_changes(place, users, NOTHING) for text in change.statements]
    assert statements
    assert all(" ON CLUSTER 'all'" in text for text in statements)
    assert any("TABLE ENGINE ON ReplicatedReplacingMergeTree" in text for text in statements)


def test_a_password_is_sent_as_its_salted_hash() -> None:
    text = user_statement("finance", "correct horse battery", "", lambda: "73616c74")
    assert "correct" not in text
    assert text.endswith("BY 'dfa503291f7b78dfcd4a71164beb425abd544aeb13e8e094dd9f7cd5851df4b6' SALT '73616c74'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clickhouse: {users: [{name: a, role: worker, namespaces: [b]}]}", "namespaces is for analysts"),
        ("clickhouse: {users: [{name: a, role: worker}, {name: a, role: rating}]}", "user a stands twice"),
        ('clickhouse: {users: [{name: "a`b", role: worker}]}', r"clickhouse.users.0.name"),
        ('clickhouse: {users: [{name: a, role: analyst, namespaces: ["x\' OR 1"]}]}', r"users.0.namespaces.0"),
        ("clickhouse: {users: [{name: a, role: analyst, namespaces: []}]}", r"users.0.namespaces"),
        ("clickhouse: {users: [{name: a, role: root}]}", r"users.0.role"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_document_that_is_wrong_is_refused_with_the_place(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "rights.yaml"
    path.write_text(text)
    with pytest.raises(RightsError, match=expected):
        read_rights(path)


def test_a_password_file_is_read_without_its_lines_end_and_is_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "password"
    user = ClickHouseUser(name="a", role="worker", password_file=str(path))
    with pytest.raises(RightsError, match="password_file of a"):
        read_password(user)
    path.write_text("short\n")
    with pytest.raises(RightsError, match="12 characters"):
        read_password(user)
    path.write_text("long enough, it is\n")
    assert read_password(user) == "long enough, it is"
