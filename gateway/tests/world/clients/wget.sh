#!/usr/bin/env bash
# wget: it keeps cookies while it runs, and between two runs in a file.
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
touch "$folder/jar"
while read -r url; do
  wget --no-verbose --server-response --content-on-error --output-document="$folder/page" \
    --load-cookies="$folder/jar" --save-cookies="$folder/jar" --keep-session-cookies "$url" 2>"$folder/said"
  echo "$(awk '/HTTP\// { code = $2 } END { print code }' "$folder/said") $(head -n 1 "$folder/page")"
done
