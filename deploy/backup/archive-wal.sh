#!/bin/sh
# PostgreSQL's archive_command: archive-wal.sh %p %f FOLDER. Exit code 0 only when the file is on the disk of the archive, whole.
# PostgreSQL tries again what failed, and keeps the file until then.
set -eu
umask 077

source=$1 name=$2 folder=$3
target=$folder/$name
if [ -e "$target" ]; then
  # After a crash a file may come twice. Another content under the same name is another server's: it must not be replaced.
  cmp -s "$source" "$target" && exit 0
  echo "archive-wal: $target is there and differs; does another server archive into this folder?" >&2
  exit 1
fi
part=$folder/.$name.part
cp "$source" "$part"
sync "$part"
mv "$part" "$target"
sync "$folder"
