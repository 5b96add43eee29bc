#!/bin/sh
# Writes the secrets that docker-compose.yml mounts; one that exists is kept.
#
# privacy_key turns authors into pseudonyms: with another key they are strangers again.
# grafana_password is what `admin` logs in with; Grafana reads it at its first start only.
set -eu
cd "$(dirname "$0")"
umask 077
owner=${HOST_UID:-1000}
for name in privacy_key grafana_password; do
  if [ -s "$name" ]; then
    echo "kept $name"
  else
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$name"
    echo "wrote $name"
  fi
  # The containers must be able to read what nobody else may.
  if [ "$(id -u)" = 0 ]; then chown "$owner" "$name"; fi
done
if [ "$(id -u)" != 0 ] && [ "$(id -u)" != "$owner" ]; then
  echo "the containers run as user $owner, who cannot read these files; before docker compose:"
  echo "  export HOST_UID=$(id -u) HOST_GID=$(id -g)"
fi
