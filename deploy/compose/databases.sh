#!/bin/sh
# Runs once, when the volume of PostgreSQL is empty: a database for each program, owned by a user of its own, closed to the others.
set -eu
for name in ecg dagster mlflow; do
  case $name in
    ecg) password=$ECG_PASSWORD ;;
    dagster) password=$DAGSTER_PASSWORD ;;
    *) password=$MLFLOW_PASSWORD ;;
  esac
  psql --username="${POSTGRES_USER:-postgres}" --dbname=postgres --set=ON_ERROR_STOP=1 --set=name="$name" --set=password="$password" << 'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
