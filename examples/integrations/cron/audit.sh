#!/bin/sh
# Submits a request, waits, and stores the page. For cron, with nothing but curl and jq:
#   15 3 * * 1  FITCHECK_URL=https://fitcheck.example FITCHECK_API_KEY=... audit.sh request.json /var/reports
# Exit codes: 0 the verdict is below critical, 1 it is critical, 2 the request is at fault, 3 there is no report.
set -eu
request=$1
folder=$2
url=${FITCHECK_URL:-http://127.0.0.1:8000}

ask() { curl -sS --retry 5 --retry-connrefused -H "Authorization: Bearer ${FITCHECK_API_KEY:-}" "$@"; }

# The same key for every try of this run: a retry after a lost answer starts no second audit.
key="cron-$(date +%s)-$$"
answer=$(ask -H 'Content-Type: application/json' -H "Idempotency-Key: $key" --data-binary "@$request" "$url/v1/audits") || exit 3
id=$(printf %s "$answer" | jq -r '.id // empty')
if [ -z "$id" ]; then
  printf '%s\n' "$answer" | jq -r .detail >&2
  exit 2
fi

while :; do
  job=$(ask "$url/v1/audits/$id") || exit 3
  case $(printf %s "$job" | jq -r .status) in
    succeeded) break ;;
    failed | cancelled) printf %s "$job" | jq -r '.error.detail // "cancelled"' >&2; exit 3 ;;
  esac
  sleep "${FITCHECK_POLL_SECONDS:-10}"
done

ask -f -H 'Accept: text/html' "$url/v1/audits/$id/report" -o "$folder/$id.html" || exit 3
printf %s "$job" | jq -r '"\(.id) \(.verdict)"'
[ "$(printf %s "$job" | jq -r .verdict)" != fail ]
