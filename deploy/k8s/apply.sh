#!/bin/sh
# Roll an overlay out: apply.sh minikube|production. Takes the last migration away (a Job cannot be changed), applies all but the
# service, waits for the migration, applies the service and waits for its pods. Any step that fails ends it; the old pods go on.
set -eu
overlay=${1:?which overlay: minikube or production}
folder=$(cd "$(dirname "$0")/overlays/$overlay" && pwd)
limit=${LIMIT_SECONDS:-1800}

built=$(mktemp)
trap 'rm -f "$built"' EXIT
kubectl kustomize "$folder" > "$built"
# Where the service is, whatever else the overlay brings.
namespace=$(sed -n '/^kind: Job$/,/^---$/s/^  namespace: //p' "$built")

running=$(kubectl -n "$namespace" get job ecg-migrate --ignore-not-found -o 'jsonpath={.status.active}')
if [ "${running:-0}" != 0 ]; then
  echo "apply: a migration is running in $namespace; wait for it" >&2
  exit 1
fi
kubectl -n "$namespace" delete job ecg-migrate --ignore-not-found
kubectl apply --server-side -f "$built" -l 'app.kubernetes.io/name notin (ecg-interop)'

end=$(($(date +%s) + limit))
while :; do
  state=$(kubectl -n "$namespace" get job ecg-migrate -o 'jsonpath={.status.conditions[?(@.status=="True")].type}')
  case $state in
    *Complete*) break ;;
    *Failed*)
      echo "apply: the migration failed: kubectl -n $namespace logs job/ecg-migrate" >&2
      exit 1
      ;;
  esac
  if [ "$(date +%s)" -ge "$end" ]; then
    echo "apply: the migration is not done after $limit s: kubectl -n $namespace describe job ecg-migrate" >&2
    exit 1
  fi
  sleep 2
done
kubectl apply --server-side -f "$built"
kubectl -n "$namespace" rollout status deployment/ecg-interop --timeout="${limit}s"
