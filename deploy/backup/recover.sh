#!/bin/sh
# Prepare a data directory for recovery: recover.sh BASE ARCHIVE TARGET [TIME]. BASE: a folder that base-backup.sh made. ARCHIVE:
# the folder that archive-wal.sh filled. TARGET: the new data directory, absent or empty. TIME: stop just before what was
# committed then ("2026-11-28 09:15:00+00"); without it everything in the archive comes back.
# Run it as the user that runs PostgreSQL, then start the server on TARGET. It takes no connection that writes until it is done.
set -eu
umask 077

base=${1:?BASE} archive=${2:?ARCHIVE} target=${3:?TARGET} time=${4:-}
[ -f "$base/backup_label" ] || { echo "recover: $base is no base backup (no backup_label)" >&2; exit 2; }
[ -d "$archive" ] || { echo "recover: there is no archive at $archive" >&2; exit 2; }
case $archive$time in *\'*) echo "recover: a quotation mark in a path or time" >&2; exit 2 ;; esac
# Without an offset the server would take it for its own zone, and stop at another moment.
case $time in '' | *[0-9]Z | *[0-9][+-][0-9][0-9] | *[0-9][+-][0-9][0-9]:[0-9][0-9]) ;; *)
  echo "recover: $time has no offset from UTC; write 2026-11-28 09:15:00+00" >&2
  exit 2
  ;;
esac
if [ -e "$target" ] && [ -n "$(ls -A "$target")" ]; then
  echo "recover: $target is not empty; move the old one aside, it may still be needed" >&2
  exit 1
fi
pg_verifybackup --quiet "$base"

mkdir -p "$target"
cp -R "$base/." "$target"
chmod 700 "$target"
{
  echo "restore_command = 'cp \"$archive/%f\" \"%p\"'"
  echo "recovery_target_timeline = 'latest'"
  echo "recovery_target_action = 'promote'"
  # Also where there is none: a copy of a server that was once recovered has the time of then.
  echo "recovery_target_time = '$time'"
  echo "recovery_target_inclusive = off"
} >> "$target/postgresql.auto.conf"
touch "$target/recovery.signal"
echo "recover: $target is ready${time:+ for $time}. Start PostgreSQL on it and wait for 'archive recovery complete' in its log"
