# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Booting guests, after common.sh and build.sh.
#
# A machine is named by words with '-' between them, in any order:
#	n1 n2 n4	NUMA nodes, each with its own CPUs and an equal share of the memory
#	v1 v2		the cgroup hierarchy that has the memory controller
#	classic mglru	the LRU
#	nomemcg		no memory controller (cgroup_disable=memory)
#	memcgless	as nomemcg, for a kernel that was built without it
#	v1less		for a kernel whose memory controller has no v1
#	spare		one more node, whose memory could be plugged and is not: it stays offline
#	bare		the kernel is not told that it is a guest
#	debug		slow kernel: more memory, longer time-outs
#	mNUMBER		memory in megabytes (512; 1536 with debug)
#	cNUMBER		CPUs (2, or one a node)
#	swap		256 MB of swap on a disk
#	slow		one more disk, an ext4 to which 20 MB/s can be written
#	kunit		KUnit suites run when the kernel boots
#	icount		one CPU whose clock counts instructions: a nanosecond is an instruction
#
# The console goes to logs/LOG.console; what the job prints goes through a virtio port to
# logs/LOG.out, so that no kernel message can get into it.

GUEST_NEEDS=(qemu-system-x86:qemu-system-x86_64 busybox-static:/bin/busybox cpio
	e2fsprogs:mkfs.ext4 xfsprogs:mkfs.xfs coreutils:timeout gcc libc6-dev:/usr/include/stdio.h)

# A guest that runs longer than this many seconds is killed (times eight on a debug kernel).
GUEST_TIMEOUT=${MP_GUEST_TIMEOUT:-900}

# How slow the slow disk is.
GUEST_THROTTLE=throttling.bps-write=20000000

# What must not be on a guest's console, whatever the job says.
GUEST_SPLATS='(WARNING|BUG|ODEBUG|KASAN|UBSAN|KCSAN|KFENCE|Oops): '
GUEST_SPLATS+='|kernel BUG at|general protection fault|Kernel panic|Unable to handle'
GUEST_SPLATS+='|INFO: (task|rcu|trying to register|suspicious)|rcu: .*(stall|kthread starved)'
GUEST_SPLATS+='|possible (circular|recursive|irq|deadlock)|inconsistent lock state'
GUEST_SPLATS+='|suspicious RCU usage|DEBUG_LOCKS_WARN_ON|sleeping function called from invalid'
GUEST_SPLATS+='|scheduling while atomic|soft lockup|hard LOCKUP|workqueue lockup'
GUEST_SPLATS+='|refcount_t: |list_(add|del) corruption|new suspected memory leaks'
GUEST_SPLATS+='|Bad page (state|map)|bad: scheduling|cut here'
# Not the kernel's fault: an emulated CPU that the host did not run for a while.
GUEST_NOISE='Watchdog remote CPU .* read timed out|clocksource: .*(Watchdog|watchdog|wd-tsc)'

# mkfs.ext4 is there for users too.
PATH=$PATH:/usr/sbin:/sbin

guest_needs() {
	need "${GUEST_NEEDS[@]}"
	! ldd /bin/busybox >/dev/null 2>&1 ||
		die '/bin/busybox is not static; as root: apt-get install busybox-static' 3
}

# ---- the file system that the guest boots from -------------------------------------------------

# guest_kernel NAME SRC FRAGMENT...: the kernel, its kselftests and its initramfs.
guest_kernel() {
	build_kernel "$@" && build_selftests "$1" "$2" && guest_initramfs "$1"
}

# guest_initramfs KERNEL: $MP_OUT/initramfs/KERNEL.cpio with busybox, what is in selftests/, and
# the modules and kselftests of the kernel of that name.
guest_initramfs() {
	local kernel=$1 build=$MP_OUT/build/$1 root
	mkdir -p "$MP_OUT/initramfs"
	root=$(mktemp -d "$MP_OUT/initramfs/$kernel.XXXXXX")
	on_exit rm -rf "$root"
	mkdir -p "$root"/{bin,dev,etc,kselftest,modules,mp}
	cp /bin/busybox "$root/bin/"
	cp "$MP_TOP/selftests/init" "$root/init"
	cp -r "$MP_TOP/selftests/run-tests" "$MP_TOP/selftests/scenarios" "$root/mp/"
	guest_programs "$root/mp"
	find "$build/mods" -name '*.ko' -exec cp -t "$root/modules" {} +
	[ ! -e "$build/mempressure_cache" ] || cp "$build/mempressure_cache" "$root/mp/"
	[ ! -d "$build/kselftest-install" ] || cp -r "$build/kselftest-install/." "$root/kselftest/"
	guest_cpio "$root" >"$root.cpio"
	mv "$root.cpio" "$MP_OUT/initramfs/$kernel.cpio"
	rm -rf "$root"
}

guest_cpio() { (cd "$1" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible); }

# guest_programs DIR: this project's own programs for the guest, each from one file.
guest_programs() {
	local file program
	for file in "$MP_TOP"/selftests/*/*.c; do
		program=$MP_OUT/initramfs/$(basename "$file" .c)
		if [ ! "$program" -nt "$file" ]; then
			gcc -O2 -Wall -Wextra -static -o "$program.$$" "$file"
			mv "$program.$$" "$program"
		fi
		cp "$program" "$1/"
	done
	cp "$MP_TOP/selftests/bench/lock-wait" "$1/"
}

# ---- the machine -----------------------------------------------------------------------------

# guest_machine MACHINE: sets GUEST_QEMU (options), GUEST_CMDLINE, GUEST_LIMIT and GUEST_SLOW from
# its name.
guest_machine() {
	local word words i nodes=1 cpus='' memory='' icount='' debug='' kunit=0
	local cgroup=v2 lru=classic swap='' nomemcg='' bare='' spare=''
	GUEST_SLOW=
	IFS=- read -ra words <<<"$1"
	for word in "${words[@]}"; do
		case $word in
		n[1-8]) nodes=${word#n} ;;
		v1 | v2) cgroup=$word ;;
		classic | mglru) lru=$word ;;
		nomemcg | memcgless) nomemcg=' cgroup_disable=memory' ;;
		v1less) ;;
		spare) spare=1 ;;
		bare) bare=,-hypervisor ;;
		debug) debug=1 ;;
		kunit) kunit=1 ;;
		swap) swap=1 ;;
		slow) GUEST_SLOW=1 ;;
		icount) icount=1 ;;
		m[1-9]*) memory=${word#m} ;;
		c[1-9]*) cpus=${word#c} ;;
		*) die "machine $1: unknown word $word" 2 ;;
		esac
	done
	memory=${memory:-$((debug ? 1536 : 512))}
	cpus=${cpus:-$((icount ? 1 : nodes > 2 ? nodes : 2))}
	memory=$((memory / nodes * nodes))
	GUEST_LIMIT=$((GUEST_TIMEOUT * (debug ? 8 : 1)))
	# Not "pc": the firmware of that one finds the interrupt of a device in a loop, which takes
	# a debug kernel half a minute for each device.
	GUEST_QEMU=(-nodefaults -no-user-config -display none -no-reboot -machine q35
		-smp "$cpus,sockets=$cpus,cores=1,threads=1"
		-m "${memory}M${spare:+,slots=1,maxmem=$((memory + 512))M}")
	for ((i = 0; i < nodes; i++)); do
		GUEST_QEMU+=(-object "memory-backend-ram,id=m$i,size=$((memory / nodes))M"
			-numa "node,nodeid=$i,memdev=m$i$(guest_node_cpus "$i" "$nodes" "$cpus")")
	done
	[ -z "$spare" ] || GUEST_QEMU+=(-numa "node,nodeid=$nodes")
	guest_accel "$icount" "$bare"
	# The kernel tests at boot whether the timer's interrupt comes in time, and dies if it does
	# not, or goes on with one that is set up in some way of 1990: a host that does not run an
	# emulated machine for a few milliseconds is enough for that.
	GUEST_CMDLINE="console=ttyS0 panic=-1 oops=panic loglevel=7 no_timer_check"
	GUEST_CMDLINE+=" rcupdate.rcu_cpu_stall_timeout=60 watchdog_thresh=30 kunit.enable=$kunit"
	GUEST_CMDLINE+=" mp.cgroup=$cgroup mp.lru=$lru${swap:+ mp.swap}$nomemcg"
}

# guest_node_cpus NODE NODES CPUS: the part of -numa that gives the node its CPUs, if it has any.
guest_node_cpus() {
	local cpu
	for ((cpu = $1; cpu < $3; cpu += $2)); do printf ',cpus=%d' "$cpu"; done
}

# guest_accel ICOUNT FLAGS: adds how the machine is run, with more flags of the CPU.
guest_accel() {
	if [ -n "$1" ]; then
		GUEST_QEMU+=(-accel tcg -icount 'shift=0,sleep=off,align=off' -cpu "max,la57=off$2")
	elif [ "$(guest_accel_verdict)" = kvm ]; then
		GUEST_QEMU+=(-accel kvm -cpu "host$2")
	else
		GUEST_QEMU+=(-accel 'tcg,thread=multi' -cpu "max,la57=off$2")
	fi
}

# Where a verdict on KVM is kept: one a boot of this machine and version of QEMU.
guest_accel_file() {
	printf '%s/accel-%s\n' "$MP_OUT" \
		"$({ cat /proc/sys/kernel/random/boot_id; qemu-system-x86_64 --version; } |
			sha256sum | cut -c1-12)"
}

guest_accel_verdict() {
	[ -z "${MP_ACCEL:-}" ] || { printf '%s\n' "$MP_ACCEL" && return; }
	cat "$(guest_accel_file)" 2>/dev/null || printf 'tcg\n'
}

# guest_probe KERNEL: is KVM of any use here? A device that opens and even makes a virtual machine
# may hang in the firmware all the same, so only a real boot tells.
guest_probe() {
	local file verdict=tcg
	file=$(guest_accel_file)
	[ -z "${MP_ACCEL:-}" ] && [ ! -e "$file" ] || return 0
	if [ ! -w /dev/kvm ]; then
		step 'no /dev/kvm: guests are emulated'
	else
		step 'trying KVM with a real boot (15 s at the most)'
		if MP_ACCEL=kvm GUEST_TIMEOUT=15 guest_boot -q -l probe-kvm n1 "$1" true; then
			verdict=kvm
		fi
		step "guests run on $verdict"
	fi
	rm -f "$MP_OUT"/accel-*
	printf '%s\n' $verdict | put_file "$file"
}

# ---- a boot ----------------------------------------------------------------------------------

# guest_boot [-q] [-l LOG] [-t SECONDS] [-o QEMU_OPTION]... [-a KERNEL_OPTION]...
#		MACHINE KERNEL JOB...
# Boots the kernel of that name (see build_kernel, guest_initramfs), runs JOB (a line for sh) and
# waits for the end. Fails, with the reason in $GUEST_WHY and the console's last lines shown
# unless -q, if the guest hung or died, left a splat, or the job failed. $GUEST_OUT is the file
# with what the job printed.
guest_boot() {
	local opt quiet='' log=guest limit='' extra=() cmdline='' dir rc=0
	OPTIND=1
	while getopts ql:t:o:a: opt; do
		case $opt in
		q) quiet=1 ;;
		l) log=$OPTARG ;;
		t) limit=$OPTARG ;;
		o) extra+=("$OPTARG") ;;
		a) cmdline+=" $OPTARG" ;;
		*) return 2 ;;
		esac
	done
	shift $((OPTIND - 1))
	guest_machine "$1"
	GUEST_OUT=$MP_OUT/logs/$log.out GUEST_CONSOLE=$MP_OUT/logs/$log.console GUEST_WHY=
	rm -f "$GUEST_OUT" "$GUEST_CONSOLE"
	mkdir -p "$(dirname "$GUEST_OUT")"
	dir=$(mktemp -d "$MP_OUT/guest.XXXXXX")
	on_exit rm -rf "$dir"
	guest_media "$dir" "$2" "${*:3}"
	run_child timeout -k 5 "${limit:-$GUEST_LIMIT}" qemu-system-x86_64 "${GUEST_QEMU[@]}" \
		-kernel "$MP_OUT/build/$2/bzImage" -initrd "$dir/initrd" \
		-append "$GUEST_CMDLINE$cmdline" "${GUEST_MEDIA[@]}" \
		-serial "file:$GUEST_CONSOLE" "${extra[@]}" >"$MP_OUT/logs/$log.qemu" 2>&1 || rc=$?
	rm -rf "$dir"
	guest_verdict "$rc" "${limit:-$GUEST_LIMIT}" "$MP_OUT/logs/$log.qemu" || {
		[ -n "$quiet" ] || guest_show
		return 1
	}
}

# guest_shell MACHINE KERNEL: a root shell on this terminal.
guest_shell() {
	local dir
	guest_machine "$1"
	GUEST_OUT=/dev/null
	dir=$(mktemp -d "$MP_OUT/guest.XXXXXX")
	on_exit rm -rf "$dir"
	guest_media "$dir" "$2" true
	qemu-system-x86_64 "${GUEST_QEMU[@]}" "${GUEST_MEDIA[@]}" -serial mon:stdio \
		-kernel "$MP_OUT/build/$2/bzImage" -initrd "$dir/initrd" \
		-append "$GUEST_CMDLINE mp.shell" || true
}

# guest_media DIR KERNEL JOB: the initrd, the disks and the port for results, in GUEST_MEDIA.
guest_media() {
	local dir=$1
	[ -e "$MP_OUT/initramfs/$2.cpio" ] || guest_initramfs "$2"
	mkdir "$dir/job"
	printf 'cd /tmp\n%s\n' "$3" >"$dir/job/job"
	{ cat "$MP_OUT/initramfs/$2.cpio" && guest_cpio "$dir/job"; } >"$dir/initrd"
	truncate -s 1G "$dir/disk"
	mkfs.ext4 -q -F -O ^has_journal -E nodiscard,lazy_itable_init=1 "$dir/disk"
	truncate -s 256M "$dir/swap"
	truncate -s 320M "$dir/xfs"
	mkfs.xfs -q "$dir/xfs"
	GUEST_MEDIA=(-drive "file=$dir/disk,if=none,id=disk,format=raw,cache=unsafe"
		-device 'virtio-blk-pci,drive=disk'
		-drive "file=$dir/swap,if=none,id=swap,format=raw,cache=unsafe"
		-device 'virtio-blk-pci,drive=swap'
		-drive "file=$dir/xfs,if=none,id=xfs,format=raw,cache=unsafe"
		-device 'virtio-blk-pci,drive=xfs'
		-device virtio-serial-pci -chardev "file,id=results,path=$GUEST_OUT"
		-device 'virtserialport,chardev=results,name=results')
	[ -n "$GUEST_SLOW" ] || return 0
	truncate -s 1G "$dir/slow"
	mkfs.ext4 -q -F -O ^has_journal -E nodiscard,lazy_itable_init=1 "$dir/slow"
	GUEST_MEDIA+=(-drive
		"file=$dir/slow,if=none,id=slow,format=raw,cache=unsafe,$GUEST_THROTTLE"
		-device 'virtio-blk-pci,drive=slow')
}

# guest_verdict STATUS SECONDS QEMU_LOG: sets GUEST_WHY; true if the guest ended well.
guest_verdict() {
	local status splat
	if [ "$1" = 124 ] || [ "$1" = 137 ]; then
		GUEST_WHY="the guest hung: killed after $2 s"
		return 1
	fi
	splat=$(guest_splats "$GUEST_CONSOLE" | head -n 1)
	status=$(sed -n '$s/^# exit //p' "$GUEST_OUT" 2>/dev/null | tr -d '\r')
	if [ -n "$splat" ]; then
		GUEST_WHY="the kernel complained: $splat"
	elif [ "$1" != 0 ]; then
		GUEST_WHY="QEMU failed ($1): $(tail -n 1 "$3")"
	elif [ -z "$status" ]; then
		GUEST_WHY=$(grep -a '^Bail out!' "$GUEST_OUT" | head -n 1)
		GUEST_WHY=${GUEST_WHY:-the guest died before its job was done}
	elif [ "$status" != 0 ]; then
		GUEST_WHY="the job failed with status $status"
	else
		return 0
	fi
	return 1
}

# guest_splats CONSOLE: the lines that must not be there.
guest_splats() {
	tr -d '\r' <"$1" 2>/dev/null | grep -aE "$GUEST_SPLATS" | grep -avE "$GUEST_NOISE" |
		sed 's/^\[ *[0-9.]*\] *//' || true
}

# guest_show: why a guest failed, and of its console the first complaint with what surrounds it, or
# the end.
guest_show() {
	local line
	warn "$GUEST_WHY"
	line=$(tr -d '\r' 2>/dev/null <"$GUEST_CONSOLE" | grep -anE "$GUEST_SPLATS" |
		grep -avE "$GUEST_NOISE" | head -n 1 | cut -d: -f1) || true
	if [ -n "$line" ]; then
		sed -n "$((line > 3 ? line - 3 : 1)),$((line + 36))p" "$GUEST_CONSOLE"
	else
		tail -n 15 "$GUEST_CONSOLE" 2>/dev/null
	fi | tr -d '\r' | sed 's/^/  | /' >&2
	printf '  console: %s\n  output: %s\n' "$GUEST_CONSOLE" "$GUEST_OUT" >&2
}
