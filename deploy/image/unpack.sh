#!/bin/sh
# Puts the files of an image into a folder, so that they can be looked at: unpack.sh docker|podman|buildah IMAGE FOLDER
set -eu
engine=$1 image=$2 folder=$3
rm -rf "$folder"
mkdir -p "$folder"
if [ "$engine" = buildah ]; then
  container=$(buildah from "$image")
  trap 'buildah rm "$container" > /dev/null' EXIT
  tar --create --directory="$(buildah mount "$container")" --exclude=./dev --exclude=./proc --exclude=./sys . |
    tar --extract --directory="$folder" --no-same-owner
else
  container=$("$engine" create "$image")
  trap '"$engine" rm "$container" > /dev/null' EXIT
  "$engine" export "$container" | tar --extract --directory="$folder" --no-same-owner --exclude='dev/*'
fi
