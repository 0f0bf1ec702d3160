#!/usr/bin/env bash
# curl, with a jar as any script has one that asks twice.
jar=$(mktemp)
trap 'rm -f "$jar"' EXIT
while read -r url; do
  curl --silent --show-error --cookie "$jar" --cookie-jar "$jar" --write-out '\n%{http_code}\n' "$url" |
    { read -r line; while read -r last; do [ -z "$last" ] || code=$last; done; echo "$code $line"; }
done
