# shellcheck shell=bash
# What ci/guest/parity would say to a fault: each is planted once into what the last round left, and must be noticed by
# the comparison that is there for it, in its words. Sourced with chains.sh.
planted=0

flip() { # file, offset: one bit of that byte
  local byte
  byte=$(od -An -tu1 -j "$2" -N 1 "$1")
  printf '%b' "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Where on the device the newest key's data is: 12 KiB into its segment, segments begin at 20 KiB (media-format.md).
newest_data() { # cache
  "$jpcache" dump --keys --cache "$1" |
    awk '$1 == "key" { for (i = 2; i < NF; i++) if ($i == "seg") split($(i + 1), at, ":") }
      END { printf "%d\n", 20480 + at[1] * 16777216 + 12288 + at[2] }'
}

plan_in_guest() { printf 'planted=%q\n' "$1" >>"$work/0/settings"; }

plant_lost() { # a sector that the load wrote, before jpcache's view is judged
  look_ours
  flip "$shm/0/view" "$(LC_ALL=C grep -abom 1 TSEHCACP "$shm/0/view" | head -n 1 | cut -d : -f 1)"
  keep_promises
}
plant_ours() { # any byte of jpcache's view
  look_ours
  keep_promises
  flip "$shm/0/view" $((backing_bytes - 1000))
  copy . copy
  look_kernel
  agree
}
plant_kernel() { # the byte that the kernel reads from its cache; without data crc, by which it would refuse to
  look_ours
  copy . copy
  flip "$shm/$plain/copy/pmem" "$(newest_data "$shm/$plain/pmem")"
  look_kernel
  agree
}
plant_refused() { # the superblock's checksum
  look_ours
  copy . copy
  flip "$shm/0/copy/pmem" 4096
  look_kernel
}
plant_complaint() { # a word of warning in the kernel's log
  look_ours
  copy . copy
  plan_in_guest "echo '<4>a planted complaint' >/dev/kmsg"
  look_kernel
}
plant_status() { # one field of nine
  look_ours
  copy . copy
  plan_in_guest "dmsetup message pcache0 0 gc_percent 33"
  look_kernel
  agree
}

notice() { # fault, what it must be called
  local out=$work/plant.out code=0
  cp "$work/0/settings" "$work/settings.kept"
  echo hurry=20 >>"$work/0/settings"
  (keep_on_failure=; "plant_$1") >"$out" 2>&1 || code=$?
  mv "$work/settings.kept" "$work/0/settings"
  [ "$code" = 1 ] && grep -q "FAILED: .*$2" "$out" || fail "the planted fault '$1' ends with $code and says: $(tail -n 5 "$out")"
  say "  planted $1: $(sed -n 's/.*FAILED: //p' "$out" | head -n 1 | cut -c 1-150)"
  planted=$((planted + 1))
}

# Two of the chains are enough, one of which has no data crc.
plant_all() {
  local chains=2 plain=0
  [ "$(cat "$work/0/crc")" = false ] || plain=1
  say "faults are planted"
  notice lost 'what was durable is not there'
  notice ours 'the kernel reads other data'
  notice kernel "chain $plain: the kernel reads other data"
  notice refused 'the kernel attaches copies'
  notice complaint 'the kernel says: .*a planted complaint'
  notice status "dump says .* 33 "
  say "$planted planted faults were noticed, ${SECONDS} s"
}
