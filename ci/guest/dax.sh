# shellcheck shell=bash
# The part of ci/guest/parity in which jpcache runs in the guest, on real DAX; see in/dax.

# The sum of the numbers before these words in what the guest said.
total() { awk -v words="$1" '$0 ~ words { sub(" " words ".*", ""); sum += $NF } END { print sum + 0 }' "$work/dax/output"; }

stage() {
  local said
  "$here/run" --quiet --share "$work/dax" --timeout 900 --nvdimm "$shm/nv0" --nvdimm "$shm/nv1" --pmem "$shm/raw" \
    --disk "$shm/a" --disk "$shm/b" --disk "$shm/c" "$here/in/dax" "$@" || fail "dax $1: $(tail -n 40 "$work/dax/output")"
  grep '^  ' "$work/dax/output" || :
  files=$((files + $(total 'files are what they were'))) verified=$((verified + $(total 'MiB are what fio wrote')))
  said=$(complaints "$work/dax/console")
  [ -z "$said" ] || fail "dax $1: the kernel says: $said"
}

run_dax() {
  say "jpcache on DAX"
  mkdir "$work/dax"
  cp "$work/load" "$work/dax/"
  truncate -s 1G "$shm/nv0" "$shm/nv1"
  truncate -s 512M "$shm/raw" "$shm/a" "$shm/b"
  head -c 64M /dev/urandom >"$shm/c"
  draw 4000
  if [ -n "$short" ]; then
    stage small "$REPLY"
    stage small-again
    cuts=$((cuts + 1)) stops=$((stops + 1))
    say "jpcache on DAX: ${SECONDS} s"
    return
  fi
  stage make "$REPLY"
  draw 4000
  stage again "$REPLY"
  stage hand
  draw 1000000
  stage tools "$REPLY"
  cuts=$((cuts + 2)) stops=$((stops + 3)) hands=$((hands + 2))
  rm "$shm"/{nv0,nv1,raw,a,b,c}
  say "jpcache on DAX: ${SECONDS} s"
}
run_dax
