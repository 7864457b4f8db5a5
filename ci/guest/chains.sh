# shellcheck shell=bash
# Caches that are written here and in the guest, chain after chain: $shm/N holds the devices of chain N, $work/N
# what is known of it. Sourced with lib.sh.
images=0 bytes=0 wrapped=0 discards=0 files=0 verified=0 hung=0
backing_bytes=$((128 << 20))

dump_status() { "$jpcache" dump --cache "$1" | sed -n 's/^ *status: //p'; }
# The nine fields of a line of dmsetup status.
kernel_status() { cut -d ' ' -f 4- "$1"; }

# Whether a segment of cache $1 was emptied and used again: the log has gone around the whole device.
has_wrapped() {
  "$jpcache" dump --cache "$1" |
    awk '$1 == "segment" && ($7 > 1 || ($7 == 1 && $NF != "nothing")) { found = 1 } END { exit !found }'
}

# Without segs_used and the two tails, which move when garbage is collected.
but_tails() { awk '{ print $1, $2, $3, $5, $6, $7 }' <<<"$1"; }

server=
serve() { # number, then options
  local media=$shm/$1 line=
  shift
  rm -f "$work/ready"
  mkfifo "$work/ready"
  "$jpcache" serve --cache "$media/pmem" --backing "$media/backing" --control "$shm/control" \
    --listen "nbd+unix:///?socket=$shm/nbd" "$@" >"$work/ready" 2>"$work/serve.err" &
  server=$!
  read -r line <"$work/ready" || :
  case $line in
    'READY '*) ;;
    *) fail "jpcache does not serve: $(cat "$work/serve.err")" ;;
  esac
}

# The kernel and the emulator are not what is on trial: a guest that hangs or dies, with nothing of jpcache's running
# in it, gets one more chance in a run, on the same images. It does so again if jpcache's media are the reason.
boot() { # what for, the images, their twins, processors, then the guest's arguments
  local what=$1 images=$2 twins=$3 cpus=$4 said code=0
  shift 4
  in_guest "$@" || code=$?
  if [ "$hung" = 0 ] && { [ "$code" = 124 ] || [ "$code" = 125 ]; }; then
    say "$what: the guest ended with $code, having said: $(tail -n 20 "$work/output")"
    say "$what: once more, on the same images"
    hung=1 code=0
    copy "$twins" "$images"
    in_guest "$@" || code=$?
  fi
  [ "$code" = 0 ] || fail "$what: exit code $code: $(tail -n 20 "$work/output")"
  said=$(complaints "$work/console")
  [ -z "$said" ] || fail "$what: the kernel says: $said"
}

in_guest() {
  local k devices=()
  for ((k = 0; k < chains; k++)); do
    devices+=(--pmem "$shm/$k/$images/pmem" --disk "$shm/$k/$images/backing" --disk "$shm/$k/copied")
  done
  "$here/run" --quiet --share "$work" --timeout 600 --cpus "$cpus" "${devices[@]}" "$here/in/pcache" "$@"
}

# The kernel holds all chains and writes; see in/pcache.
hold_in_guest() { # what for, processors, how it ends, its milliseconds
  copy . copy
  boot "$1" . copy "$2" hold "$chains" "$3" "$4"
}

# What both see in the media of all chains, and whether it is what was promised.
compare() {
  look_ours
  keep_promises
  copy . copy
  look_kernel
  agree
}

# jpcache's view of each; its fsck finds nothing.
look_ours() {
  local k media
  for ((k = 0; k < chains; k++)); do
    media=$shm/$k
    "$jpcache" fsck --cache "$media/pmem" --backing "$media/backing" >"$work/fsck.out" 2>&1 ||
      fail "chain $k: fsck: $(grep -v '^phase' "$work/fsck.out")"
    "$jpcache" view --cache "$media/pmem" --backing "$media/backing" >"$media/view" || fail "chain $k: no view"
  done
}

# The views hold what was durable in this round.
keep_promises() {
  local k
  for ((k = 0; k < chains; k++)); do
    "$work/load" check "$work/$k/journal" "$shm/$k/before" "$shm/$k/view" >"$work/check.out" 2>&1 ||
      fail "chain $k: what was durable is not there: $(cat "$work/check.out")"
    say "  chain $k:$(sed 's/^load://' "$work/check.out")"
    discards=$((discards + $(sed -n 's/.* zeroed, \([0-9]*\) discarded.*/\1/p' "$work/check.out")))
  done
}

# The caches' images from one folder of each chain's to another, in place: a file stays the one that a label names.
copy() { # from, to
  local k
  for ((k = 0; k < chains; k++)); do
    mkdir -p "$shm/$k/$2"
    cp --sparse=always "$shm/$k/$1/pmem" "$shm/$k/$2/pmem"
    cp "$shm/$k/$1/backing" "$shm/$k/$2/backing"
  done
}

look_kernel() { boot "the kernel attaches copies" copy . 2 look "$chains"; }

# Both views are the same, and so are their words for the state: before the kernel collected garbage, and after.
agree() {
  local k media before after want
  for ((k = 0; k < chains; k++)); do
    media=$shm/$k
    cmp "$media/view" "$media/copied" >"$work/cmp.out" 2>&1 || fail "chain $k: the kernel reads other data: $(cat "$work/cmp.out")"
    ! has_wrapped "$media/pmem" || wrapped=$((wrapped + 1))
    images=$((images + 1)) bytes=$((bytes + backing_bytes))
    before=$(dump_status "$media/pmem") want=$(kernel_status "$work/$k/status.attached")
    [ "$(but_tails "$before")" = "$(but_tails "$want")" ] ||
      fail "chain $k: dump says '$before', dmsetup status '$want'"
    after=$(dump_status "$media/copy/pmem") want=$(kernel_status "$work/$k/status.quiet")
    [ "$after" = "$want" ] || fail "chain $k: after the kernel's garbage collection dump says '$after', dmsetup status '$want'"
    "$jpcache" view --other-device --cache "$media/copy/pmem" --backing "$media/copy/backing" | cmp - "$media/view" ||
      fail "chain $k: the kernel changed what it attached"
    mv "$media/view" "$media/before"
    rm -r "$media/copy"
  done
}
