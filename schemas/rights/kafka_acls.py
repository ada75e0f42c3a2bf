"""Kafka's ACLs: asked for, compared with ``kafka_roles``, and added. None is ever removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, get_args

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from schemas.rights.kafka_roles import (
    KafkaRight,
    Operation,
    PrincipalChange,
    Resource,
    kafka_rights,
    principal_changes,
)
from schemas.rights.rights_document import KafkaPrincipal, RightsError
from schemas.settings import Settings

_TIMEOUT: Final = 30


def missing_acls(settings: Settings, principals: Sequence[KafkaPrincipal]) -> list[PrincipalChange]:
    """What the cluster lacks; changes nothing. Raises RightsError where it has no authorizer, or does not show its ACLs
    to who asks, and KafkaException where it does not answer."""
    wanted = [(principal.name, kafka_rights(principal.role, principal.namespaces or ())) for principal in principals]
    names = {name for name, _ in wanted}
    held: list[tuple[str, KafkaRight]] = []
    others: list[tuple[str, str]] = []
    for binding in _bindings(settings) if names else ():
        if binding.principal in names:
            right = _right(binding)
            if right is None:
                others.append((binding.principal, _text(binding)))
            else:
                held.append((binding.principal, right))
    return principal_changes(wanted, held, others)


def add_acls(settings: Settings, changes: Iterable[PrincipalChange]) -> None:
    """Safe to repeat: an ACL that is there is no other one. Raises RightsError: what was refused."""
    bindings = [_binding(change.principal, right) for change in changes for right in change.missing]
    if not bindings:
        return
    admin = _admin(settings)  # held until the answers are there: without it they are cancelled
    futures: dict[Any, Any] = admin.create_acls(bindings, request_timeout=_TIMEOUT)
    for binding, future in futures.items():
        try:
            future.result(timeout=_TIMEOUT + 5)
        except KafkaException as error:
            raise _refusal(settings, f"refused {_text(binding)} for {binding.principal}", error) from error


def _bindings(settings: Settings) -> list[AclBinding]:
    whatever: Any = None  # the client's types say text; None matches any name, principal and host
    everything = AclBindingFilter(
        ResourceType.ANY, whatever, ResourcePatternType.ANY, whatever, whatever, AclOperation.ANY, AclPermissionType.ANY
    )
    admin = _admin(settings)
    try:
        asked = admin.describe_acls(everything, request_timeout=_TIMEOUT)
        bindings: list[AclBinding] = asked.result(timeout=_TIMEOUT + 5)
    except KafkaException as error:
        raise _refusal(settings, "does not show its ACLs", error) from error
    return bindings


def _refusal(settings: Settings, what: str, error: KafkaException) -> Exception:
    code = error.args[0].code()
    if code == KafkaError.SECURITY_DISABLED:
        return RightsError(
            "Kafka has no authorizer, so everybody may do everything: set authorizer.class.name="
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer and super.users on brokers and controllers"
        )
    if code == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
        who = settings.kafka_sasl_username or "whoever asks"
        return RightsError(f"Kafka {what}: give {who} the rights Describe and Alter on the cluster, or ask as another")
    return error


def _right(binding: AclBinding) -> KafkaRight | None:
    """None: no ``KafkaRight`` says it."""
    resources: dict[str, Resource] = {name: name for name in get_args(Resource)}
    operations: dict[str, Operation] = {name: name for name in get_args(Operation)}
    resource = resources.get(ResourceType(binding.restype).name)
    operation = operations.get(AclOperation(binding.operation).name)
    pattern = binding.resource_pattern_type
    plain = binding.permission_type == AclPermissionType.ALLOW and binding.host == "*"
    if not plain or resource is None or operation is None:
        return None
    if pattern not in (ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED):
        return None
    return KafkaRight(resource, binding.name, pattern == ResourcePatternType.PREFIXED, operation)


def _binding(principal: str, right: KafkaRight) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL
    resource, operation = ResourceType[right.resource], AclOperation[right.operation]
    return AclBinding(resource, right.name, pattern, principal, "*", operation, AclPermissionType.ALLOW)


def _text(binding: AclBinding) -> str:
    permission, operation = AclPermissionType(binding.permission_type), AclOperation(binding.operation)
    resource = ResourceType(binding.restype).name.lower()
    prefixed = "*" if binding.resource_pattern_type == ResourcePatternType.PREFIXED else ""
    host = "" if binding.host == "*" else f" from {binding.host}"
    return f"{permission.name} {operation.name} on {resource} {binding.name}{prefixed}{host}"


def _admin(settings: Settings) -> AdminClient:
    return AdminClient(settings.librdkafka() | {"log_level": 2})
