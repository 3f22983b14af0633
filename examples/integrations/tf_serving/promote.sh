#!/bin/sh
# Audits a staged SavedModel and makes it the next served version, unless the verdict is critical:
#   promote.sh staged/churn models/churn -- --train train.csv --validation validation.csv --label churned
# Exit codes are those of `fitcheck submit --wait`.
set -eu
staged=$1
served=$2
shift 3

fitcheck submit --wait --model "$staged" --fail-on critical "$@"

last=$(find "$served" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*' -printf '%f\n' | sort -n | tail -n 1)
next=$((${last:-0} + 1))
# Serving loads a version as soon as its folder is there, so it must be whole by then.
cp -R "$staged" "$served/.staging-$next"
mv "$served/.staging-$next" "$served/$next"
echo "version $next"
