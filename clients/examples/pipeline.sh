#!/bin/sh
# The cached answer if there is one, else the daemon's over MCP; either way JSON on standard output.
set -u
server=$1 tool=$2 arguments=${3:-'{}'}
url=${OMNI2_URL:-http://127.0.0.1:8090/mcp}

if omni2-cache get "$server" "$tool" "$arguments"; then
    exit 0
fi
printf '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s__%s","arguments":%s}}' \
    "$server" "$tool" "$arguments" |
    curl -sf -H 'Content-Type: application/json' -H 'Accept: application/json' \
        -H "Authorization: Bearer ${OMNI2_TOKEN:-}" --data-binary @- "$url"
