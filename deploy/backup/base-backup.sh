#!/bin/sh
# A physical copy of the whole server, from which the archive of WAL leads to any later moment: pg_basebackup into BASE_FOLDER,
# verified against its manifest, the newest BASE_KEEP kept, and of the archive what the oldest of them needs.
# Where the server is, libpq's variables say (see backup.sh); the user needs REPLICATION.
set -eu
umask 077

folder=${BASE_FOLDER:?the folder for the copies}
archive=${WAL_ARCHIVE:-} # the folder that archive-wal.sh fills, to be cleaned; nothing: it is not touched
keep=${BASE_KEEP:-4}

case $keep in '' | *[!0-9]* | 0) echo "base-backup: BASE_KEEP=$keep is no number of copies" >&2; exit 2 ;; esac

mkdir -p "$folder"
part=$folder/.base.part
rm -rf "$part"
trap 'rm -rf "$part"' EXIT
trap 'exit 1' HUP INT TERM

target=base-$(date -u +%Y%m%dT%H%M%SZ)
# With the WAL that was written meanwhile: the copy can be started without the archive.
pg_basebackup --pgdata="$part" --checkpoint=fast --wal-method=stream --no-password
pg_verifybackup --quiet "$part"
mv "$part" "$folder/$target"
sync "$folder"

copies() { find "$folder" -maxdepth 1 -name 'base-[0-9]*T[0-9]*Z' | sort -r; } # the newest first: names sort by time
copies | tail -n "+$((keep + 1))" | while read -r old; do
  rm -rf "$old"
done
if [ -n "$archive" ]; then
  oldest=$(copies | tail -n 1)
  first=$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' "$oldest/backup_label")
  pg_archivecleanup "$archive" "${first:?$oldest has no start in its backup_label}"
fi
echo "base-backup: $folder/$target"
