#!/bin/sh
# Put a copy that backup.sh made into an empty database, all of it or nothing: restore.sh FILE. Where the database is, libpq's
# variables say (see backup.sh). It never writes into a database that holds anything: make a new one, then exchange the two.
set -eu

file=${1:?the copy to restore: restore.sh FILE}
[ -r "$file" ] || { echo "restore: $file cannot be read" >&2; exit 2; }
[ -r "$file.sha256" ] || { echo "restore: $file.sha256 is missing, so nobody knows whether the copy is whole" >&2; exit 2; }
expected=$(cut -d ' ' -f 1 "$file.sha256")
found=$(sha256sum "$file")
if [ "${found%% *}" != "$expected" ]; then
  echo "restore: $file is damaged: its SHA-256 is ${found%% *}, not $expected" >&2
  exit 1
fi

tables=$(psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="
  SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp%'")
if [ "$tables" != 0 ]; then
  echo "restore: the database is not empty ($tables tables and sequences); make a new one and name it in PGDATABASE" >&2
  exit 1
fi

# Owner and grants are those of whoever restores: roles of another server need not exist here.
pg_restore --exit-on-error --single-transaction --no-owner --no-privileges --dbname="${PGDATABASE:?}" "$file"
# Plans for tables that nobody has counted would be slow for the first hour. Its warnings are about the server's own tables.
PGOPTIONS="-c client_min_messages=error" vacuumdb --quiet --analyze-only --dbname="$PGDATABASE"
echo "restore: $file is in $PGDATABASE. Next: ecg-interop db upgrade; ecg-interop audit verify --head FILE (docs/continuity.md)"
