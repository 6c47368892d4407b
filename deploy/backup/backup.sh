#!/bin/sh
# A logical copy of the database: pg_dump into BACKUP_FOLDER, read back whole, with its SHA-256, the newest BACKUP_KEEP kept.
# Where the database is, libpq's own variables say (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSFILE or PGPASSWORD, PGSSLMODE):
# a password on the command line could be read by every user of the machine. docs/continuity.md says when and how to use it.
set -eu
umask 077 # the file holds patient data

folder=${BACKUP_FOLDER:?the folder for the copies}
keep=${BACKUP_KEEP:-14}
name=${BACKUP_NAME:-ecg}
metrics=${BACKUP_METRICS:-} # a file in the folder of node_exporter's textfile collector, or nothing

case $keep in '' | *[!0-9]* | 0) echo "backup: BACKUP_KEEP=$keep is no number of copies" >&2; exit 2 ;; esac

# One at a time: a second one would remove the first one's unfinished file.
lock=$folder/.$name.lock
mkdir -p "$folder"
if ! mkdir "$lock" 2> /dev/null; then
  # What was killed left its lock behind; none takes half a day.
  if [ -n "$(find "$lock" -maxdepth 0 -mmin +720)" ]; then rmdir "$lock" && mkdir "$lock"; else
    echo "backup: another one is running ($lock)" >&2
    exit 1
  fi
fi
part=$folder/.$name.dump.part
trap 'rm -f "$part" "$part.sha256"; rmdir "$lock"' EXIT
trap 'exit 1' HUP INT TERM

target=$name-$(date -u +%Y%m%dT%H%M%SZ).dump
# Most of it is compressed already; trying harder takes longer and gains little.
pg_dump --format=custom --compress=1 --file="$part"
# Read back from the first to the last byte: a copy that cannot be read is none.
pg_restore --file=/dev/null "$part"
sum=$(sha256sum "$part")
echo "${sum%% *}  $target" > "$part.sha256"
sync "$part" "$part.sha256"
# The sum first: whoever sees a copy can check it.
mv "$part.sha256" "$folder/$target.sha256"
mv "$part" "$folder/$target"
sync "$folder"

# Names sort by time.
find "$folder" -maxdepth 1 -name "$name-[0-9]*T[0-9]*Z.dump" | sort -r | tail -n "+$((keep + 1))" | while read -r old; do
  rm -f "$old" "$old.sha256"
done

size=$(wc -c < "$folder/$target")
if [ -n "$metrics" ]; then
  cat > "$metrics.part" << END
# HELP ecg_backup_success_timestamp_seconds When the newest logical copy of the database was finished.
# TYPE ecg_backup_success_timestamp_seconds gauge
ecg_backup_success_timestamp_seconds $(date +%s)
# HELP ecg_backup_bytes Size of the newest logical copy of the database.
# TYPE ecg_backup_bytes gauge
ecg_backup_bytes $size
END
  chmod 644 "$metrics.part" # no patient in it, and the exporter runs as somebody else
  mv "$metrics.part" "$metrics"
fi
echo "backup: $folder/$target, $size bytes, SHA-256 ${sum%% *}"
