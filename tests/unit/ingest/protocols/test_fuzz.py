"""Whatever a stranger sends to the doors is accepted, or refused in the format's own words: nothing else can come
out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import event, example, given
from hypothesis import strategies as st
from starlette.requests import Request

from ingest.history.body_lines import NumberedLine
from ingest.history.line_judgement import judge_lines
from ingest.http.bodies import BadBody
from ingest.http.gateway_problems import Problem, of_refusal
from ingest.protocols import detection
from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.events.acceptance import accept
from schemas.events.event_types import NO_TYPES
from schemas.events.raw_events import Refused

NOW = 1_780_000_000_000_000
NAMES = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "data",
    "data_base64",
    "event",
    "events",
    "transaction_id",
    "external_subscription_id",
    "external_customer_id",
    "code",
    "timestamp",
    "properties",
    "precise_total_amount_cents",
    "event_name",
    "account_id",
    "idempotency_key",
]
KINDS = [
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/cloudevents+avro",
    "application/json",
    "application/json; charset=utf-16",
    "text/plain",
    "text/xml",
    "",
    "application/x-www-form-urlencoded",
]


def history() -> NamespaceView:
    catalog = Catalog()
    settings = Namespace(code="n", max_event_age_seconds=None)
    catalog.apply(record_of("n", settings, kind="namespace", version=1, author="", claim_id="c"), 0, 0)
    return catalog.view("n")


VIEW = history()
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["1.0", "a", "2026-05-04T12:00:00Z", "1769860800.25", "e30=", "{}", "application/json", "text/xml"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=12,
)
cloudevent = st.fixed_dictionaries(
    {"specversion": st.just("1.0") | values, "id": st.just("i") | values, "source": st.just("s") | values,
     "type": st.just("t") | values},
    optional={"subject": st.just("a") | values, "time": values, "data": values, "data_base64": values,
              "datacontenttype": values},
)  # fmt: skip
lago = st.fixed_dictionaries(
    {
        "transaction_id": st.just("t") | values,
        "code": st.just("c") | values,
        "external_subscription_id": st.just("s") | values,
    },
    optional={"timestamp": values, "properties": values, "precise_total_amount_cents": values},
)
documents = (
    values | cloudevent | st.lists(cloudevent, max_size=3) | lago.map(lambda item: {"event": item})
    | st.lists(lago, max_size=3).map(lambda amount: {"events": amount})
)  # fmt: skip
good = st.sampled_from(
    [
        {"specversion": "1.0", "id": "i", "source": "s", "type": "t", "subject": "a", "data": {"v": 1.5}},
        [{"specversion": "1.0", "id": "i", "source": "s", "type": "t", "subject": "a"}],
        {"event": {"transaction_id": "t", "code": "c", "external_subscription_id": "s", "timestamp": "1769860800.5"}},
        {
            "events": [
                {"transaction_id": "t", "code": "c", "external_subscription_id": "s", "precise_total_amount_cents": 5}
            ]
        },
    ]
)
bodies = (good | documents).map(lambda document: json.dumps(document).encode()) | st.binary(max_size=60)
headers = st.dictionaries(
    st.sampled_from(["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "ce-data", "ce-x"]),
    st.sampled_from(["1.0", "a", '"q"', "%ff", "%41", "\xe9", "2026-05-04T12:00:00Z", ""]),
    max_size=8,
)


def answer(path: str, message: dict[str, str], body: bytes) -> tuple[int, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in message.items()]
    door = detection.Foreign(Request({"type": "http", "method": "POST", "path": path, "headers": raw}), lambda: NOW)
    try:
        raws = door.decode(body, VIEW)
        accepted = accept(
            "n", VIEW.settings, raws, now_us=NOW, mint_key=lambda _: "k", types=NO_TYPES, single=door.single
        )
        response = door.answer(accepted, ())
    except Refused as refused:
        sketch = door.tell(body, refused.index, VIEW.settings)
        assert sketch.events >= 0
        sketch.account_id.encode()
        response = door.refuse(of_refusal(refused))
    except BadBody as bad:
        response = door.refuse(bad)
    content = bytes(response.body)
    return response.status_code, json.loads(content) if content else None


@given(st.sampled_from([detection.EVENTS, detection.BATCH]), st.sampled_from(KINDS), headers, bodies)
@example(
    detection.BATCH,
    "",
    {},
    b'{"events": [{"transaction_id": "t", "code": "c", "external_subscription_id": "s", '
    b'"precise_total_amount_cents": {"a": "b"}}]}',
)
@example(detection.EVENTS, "", {}, b"[" * 100_000)
@example(detection.EVENTS, "", {}, b'{"event": ' + b'{"properties": ' * 50_000)
@example(detection.BATCH, "", {}, b'{"events": [{"code": "\\ud800", "transaction_id": "t"}]}')
@example(detection.EVENTS, "application/json", {"ce-id": "1"}, b'{"a": 1' + b"0" * 10_000 + b"}")
def test_nothing_but_an_answer_comes_out(path: str, kind: str, told: dict[str, str], body: bytes) -> None:
    status, document = answer(path, told | ({"content-type": kind} if kind else {}), body)
    event(f"answered {status}")
    assert status in (200, 204, 400, 415, 422)
    if status >= 400:
        assert document["status"] == status
        assert document["detail"]


@given(st.lists(bodies, max_size=4))
def test_every_line_of_history_is_judged(texts: list[bytes]) -> None:
    lines = [NumberedLine(number, text) for number, text in enumerate(texts, 1)]
    accepted, refused = judge_lines(lines, VIEW, NOW)
    assert len(accepted) + len(refused) == len(lines)


def test_any_other_problem_is_said_in_both_words_where_the_format_is_not_known() -> None:
    door = detection.Foreign(
        Request({"type": "http", "method": "POST", "path": detection.EVENTS, "headers": []}), lambda: NOW
    )
    response = door.refuse(Problem(401, "unauthorised", "no key"))
    document = json.loads(bytes(response.body))
    assert (document["status"], document["error"], document["title"]) == (401, "Unauthorized", "Unauthorized")
