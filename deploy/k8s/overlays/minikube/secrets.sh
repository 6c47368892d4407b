#!/bin/sh
# Passwords and certificates for this overlay, once, into secrets/: nothing that is there is replaced, because the database was
# made with the passwords. Remove the folder together with the volumes.
set -eu
umask 077
cd "$(dirname "$0")"
if [ -d secrets ]; then
  echo "secrets: $(pwd)/secrets is there already" >&2
  exit 0
fi
part=$(mktemp -d ./secrets.part.XXXXXX)
trap 'rm -rf "$part"' EXIT
password() { openssl rand -hex 24; }

postgres=$(password) ecg=$(password) dagster=$(password)
url=postgresql+psycopg2://ecg:$ecg@postgres/ecg
printf 'ECG_DATABASE_URL=%s\n' "$url" > "$part/interop.env"
printf 'ECG_DATABASE_URL=%s\nDAGSTER_PG_PASSWORD=%s\n' "$url" "$dagster" > "$part/ops.env"
printf 'POSTGRES_PASSWORD=%s\nINTEROP_PASSWORD=%s\nDAGSTER_PASSWORD=%s\n' "$postgres" "$ecg" "$dagster" > "$part/postgres.env"
printf 'PGHOST=postgres\nPGUSER=ecg\nPGDATABASE=ecg\nPGPASSWORD=%s\n' "$ecg" > "$part/backup.env"
printf 'GF_SECURITY_ADMIN_PASSWORD=%s\n' "$(password)" > "$part/grafana.env"

# A CA of our own signs the server and one caller.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 825 -subj "/CN=ECG evaluation CA" \
  -keyout "$part/ca.key" -out "$part/ca.crt" 2> /dev/null
sign() { # NAME SUBJECT EXTENSIONS
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj "/CN=$2" \
    -keyout "$part/$1.key" -out "$part/$1.csr" 2> /dev/null
  printf '%s\n' "$3" > "$part/extensions"
  openssl x509 -req -in "$part/$1.csr" -CA "$part/ca.crt" -CAkey "$part/ca.key" -CAcreateserial -days 397 \
    -extfile "$part/extensions" -out "$part/$1.crt" 2> /dev/null
  rm "$part/$1.csr" "$part/extensions"
}
sign server ecg.local "subjectAltName=DNS:ecg.local
extendedKeyUsage=serverAuth"
sign caller "evaluation caller" "extendedKeyUsage=clientAuth"

mv "$part" secrets
echo "secrets: made $(pwd)/secrets" >&2
