#!/bin/sh
# The cached result if there is one, else the daemon's answer; either way JSON on standard output.
set -u
server=$1 tool=$2 arguments=${3:-'{}'}
url=${OMNI2_URL:-http://127.0.0.1:8090}

if omni2-cache get "$server" "$tool" "$arguments"; then
    exit 0
fi
printf '{"server":"%s","tool":"%s","arguments":%s}' "$server" "$tool" "$arguments" |
    curl -sf -H 'Content-Type: application/json' -H "Authorization: Bearer ${OMNI2_TOKEN:-}" \
        --data-binary @- "$url/api/v1/mcp/tools/call"
