"""Events of types with a schema at acceptance: unknown names, and properties that the schema refuses."""

from __future__ import annotations

import pytest

from schemas.catalog.meters import EventType
from schemas.catalog.state import record_of
from schemas.events.acceptance import AcceptedEvent, accept
from schemas.events.event_types import event_types
from schemas.events.raw_events import Refused, decode_batch
from tests.unit.schemas.events.builders import FOR_EVER, catalog, event, judged

CALL = {
    "code": "call",
    "schema": {
        "type": "record",
        "name": "Call",
        "fields": [
            {"name": "seconds", "type": "double"},
            {"name": "to", "type": {"type": "record", "name": "To", "fields": [{"name": "country", "type": "string"}]}},
        ],
    },
}


class TestEventTypes:
    TYPES = event_types(catalog(CALL, {"code": "ping"}).view("ns"))
    STRICT = event_types(
        catalog(CALL, {"code": "ping"}, settings=FOR_EVER.model_copy(update={"unknown_events": "reject"})).view("ns")
    )

    def test_an_event_that_does_not_fit_is_refused_with_index_path_expected_and_found(self) -> None:
        good = (
            b'{"event_name":"call","account_id":"a",'
            b'"properties":{"seconds":0.10000000000000000000000001,"to":{"country":"CA"}}}'
        )
        bad = good.replace(b'"CA"', b"7")
        with pytest.raises(Refused) as caught:
            accept(
                "ns",
                FOR_EVER,
                decode_batch(b'{"events":[' + good + b"," + bad + b"]}"),
                now_us=1,
                mint_key=str,
                types=self.TYPES,
            )
        value = caught.value
        assert (value.reason, value.index, value.path) == ("schema", 1, "$.events[1].properties.to.country")
        assert value.detail == "expected text, found number 7 (schema of event type call, version 1)"

    def test_a_double_keeps_every_digit_that_was_sent(self) -> None:
        text = b'{"seconds":0.10000000000000000000000001,"to":{"country":"CA"}}'
        accepted_judged = judged(event(text, "call"), self.TYPES)
        assert isinstance(accepted_judged, AcceptedEvent)
        assert accepted_judged.properties.encode() == text

    def test_a_type_without_schema_and_an_unknown_name_pass_where_the_policy_accepts(self) -> None:
        assert isinstance(judged(event(b'{"x":1}', "ping"), self.TYPES), AcceptedEvent)
        assert isinstance(judged(event(b"{}", "anything"), self.TYPES), AcceptedEvent)

    def test_where_the_policy_rejects_the_nearest_names_are_told(self) -> None:
        assert isinstance(judged(event(b"{}", "ping"), self.STRICT), AcceptedEvent)
        assert isinstance(judged(event(b"{}", "e"), self.STRICT), AcceptedEvent)  # a meter's
        refused = judged(event(b"{}", "Calls"), self.STRICT)
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.path, refused.index) == ("unknown_event", "$.events[0].event_name", 0)
        assert "did you mean 'call'?" in refused.detail
        refused = judged(event(b"{}", "zzzzz"), self.STRICT)
        assert "known: call, e, ping" in str(refused)

    def test_an_older_view_judges_by_what_was_declared_then(self) -> None:
        result = catalog(CALL)
        assert event_types(result.view("ns", 2)).check("call") is None
        assert event_types(result.view("ns")).check("call") is not None
        retired = record_of(
            "ns", EventType.model_validate(CALL), kind="event_type", version=2, author="", claim_id="r", retired=True
        )
        assert result.apply(retired, 3, 3)
        assert event_types(result.view("ns")).check("call") is None
