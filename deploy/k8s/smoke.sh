#!/bin/sh
# Does what was rolled out answer? smoke.sh NAMESPACE: asks /ready of a pod of ecg-interop, through the API server, so that it
# needs no way in from outside. Prints the answer; fails unless it is 200.
set -eu
namespace=${1:?which namespace}

log=$(mktemp)
kubectl -n "$namespace" port-forward deployment/ecg-interop :8000 > "$log" &
forward=$!
trap 'kill "$forward" 2> /dev/null || true; rm -f "$log"' EXIT

tries=0
port=
while [ -z "$port" ]; do
  port=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$log")
  tries=$((tries + 1))
  if [ "$tries" -gt 30 ] || ! kill -0 "$forward" 2> /dev/null; then
    echo "smoke: no way to a pod of deployment/ecg-interop in $namespace" >&2
    exit 1
  fi
  [ -n "$port" ] || sleep 1
done
curl --silent --show-error --fail-with-body --retry 10 --retry-delay 3 --retry-all-errors --max-time 10 "http://127.0.0.1:$port/ready"
echo
