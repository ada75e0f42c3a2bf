#!/usr/bin/env bash
# A fatal error of an idempotent producer (a broker that lost the sequence because its log was cut, a fenced producer, no right to be
# idempotent) does not reach error_cb, the callback that is documented for errors. It is raised once, out of whatever call serves callbacks
# next. Out of poll() it is a KafkaException, and the delivery reports follow with the next poll(). Out of flush() it is a SystemError
# ("... returned a result with an exception set"), because flush() goes on calling delivery callbacks while the exception is pending: the first
# of them fails at its first call of C (message.offset(), error.code()), and its report does not come again. flush() then answers 0. From then on
# produce() raises KafkaException with the code _FATAL, of which KafkaError.fatal() says False.
#
# Who meets it: whoever calls flush() after a few records and catches KafkaException, or waits for error_cb to replace the producer: the program ends
# with a SystemError, or keeps a dead producer for ever, and a record has no report, neither good nor bad.
# What to do: serve callbacks by poll() alone (also instead of flush(): poll until len(producer) is 0), catch KafkaException there, ask .fatal(),
# and take the code _FATAL out of produce() for fatal too.
#
# Package: confluent-kafka 2.16.1 (PyPI; librdkafka 2.16.0). Seen 2026-11-28, first at a producer whose broker's log had been truncated.
# Source: seen by running this. The broker is librdkafka's own (test.mock.num.brokers); the error is made by rd_kafka_test_fatal_error, which rdkafka.h
# documents for such tests and which takes the way of a real one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q confluent-kafka==2.16.1
cat > "$folder/see.py" <<'PY'
import ctypes
import sys

from confluent_kafka import KafkaError, KafkaException, Producer, cimpl

library = ctypes.CDLL(cimpl.__file__)


def attempt(call, *arguments, **options):
    try:
        return f"returned {call(*arguments, **options)!r}"
    except (KafkaException, SystemError) as error:
        cause = error.args[0]
        return f"raised {type(error).__name__}, fatal: {cause.fatal() if isinstance(cause, KafkaError) else 'not told'}"


def see(name):
    told, reports = [], []
    producer = Producer({
        "bootstrap.servers": "none", "test.mock.num.brokers": 1, "enable.idempotence": True, "log_level": 0, "error_cb": told.append,
    })
    for _ in range(3):
        producer.produce("topic", b"value", on_delivery=lambda error, message: reports.append((message.offset(), error)))
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)  # the client of librdkafka's
    library.rd_kafka_test_fatal_error(handle, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, b"the sequence is lost")
    calls = [attempt(getattr(producer, name), 2) for _ in range(3)]
    print(f"{name}():", "; then ".join(calls))
    print(f"  reports of 3 records: {len(reports)}, outstanding: {len(producer)}, calls of error_cb: {len(told)}")
    after = attempt(producer.produce, "topic", b"value")
    print("  produce() afterwards", after)
    return calls, len(reports), len(told), after


flushed, polled = see("flush"), see("poll")
after = "raised KafkaException, fatal: False"
still = (
    flushed[0][0] == "raised SystemError, fatal: not told" and flushed[1] < 3 and flushed[2:] == (0, after)
    and polled[0][0] == "raised KafkaException, fatal: True" and polled[1:] == (3, 0, after)
)
sys.exit(0 if still else 1)
PY
timeout 60 "$folder/venv/bin/python" "$folder/see.py"
echo "still so: flush() raises SystemError and loses a report, error_cb is never called"
