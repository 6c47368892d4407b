#!/bin/sh
# Run once, when the volume is empty: a role and a database each for the service and for Dagster, neither a superuser.
set -eu
for name in ecg dagster; do
  case $name in ecg) password=$INTEROP_PASSWORD ;; *) password=$DAGSTER_PASSWORD ;; esac
  psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --set=name="$name" --set=password="$password" << 'END'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
END
done
