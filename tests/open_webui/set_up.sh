#!/usr/bin/env bash
# Set up the real Open WebUI in an environment of its own, for tests/e2e/test_open_webui.py: about 3 minutes and 2.9 GB, once.
#
#   tests/open_webui/set_up.sh            into build/open-webui, which git ignores
#   OPEN_WEBUI_ENV=/elsewhere tests/open_webui/set_up.sh
#
# PYTHON names a Python 3.11 or 3.12, which is what it takes (tried with 3.11). A marker is written last: what was interrupted begins anew.
set -euo pipefail
cd "$(dirname "$0")/../.."

ENV=${OPEN_WEBUI_ENV:-build/open-webui}
PYTHON=${PYTHON:-$(command -v python3.11 || command -v python3.12 || echo python3)}
WANTED="open-webui==0.12.4 torch==2.13.0"

if [ "$(cat "$ENV/.ready" 2>/dev/null)" = "$WANTED" ]; then
    exit 0
fi
if ! "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
    echo "Expected Python 3.11 or 3.12 to set up Open WebUI, found none as '$PYTHON'. Name one: PYTHON=/path/to/python3.11 $0" >&2
    exit 1
fi
echo "Setting up Open WebUI in $ENV (once; some minutes) …"
"$PYTHON" -m venv --clear "$ENV"
# shellcheck disable=SC2086  # two requirements
"$ENV/bin/python" -m pip --disable-pip-version-check --quiet install $WANTED
echo "$WANTED" > "$ENV/.ready"
