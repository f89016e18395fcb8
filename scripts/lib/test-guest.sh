# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Test group "guest": the series' kernel, booted on each machine; KUnit suites, kselftests and
# scenarios. A test is a machine (see guest.sh), and each result of the guest's own TAP stream is
# one of its subtests.
#
# A machine whose name has a scenario's name in it runs that scenario and nothing else.

# Scenarios that take so long that they have guests of their own
GUEST_ALONE=(nfs xfs churn ways latency steady writers deaddisk)

# shellcheck disable=SC2034	# scripts/test reads it
TEST_PARALLEL_guest=2
# A guest that runs all, on a host that is slow that day
# shellcheck disable=SC2034	# scripts/test reads it
TEST_MINUTES_EACH_guest=8

# Every two of nodes, cgroup and LRU meet on one of six machines; the other six that there are bring
# little for their time. With --minutes it is the last that are left out.
list_guest() {
	printf '%s\n' n1-v2-mglru n2-v2-classic n4-v2-mglru-spare n4-v1-classic \
		n2-v2-mglru-nfs n2-v2-mglru-xfs n2-v2-mglru-nomemcg n1-v2-mglru-m256-writers \
		n2-v2-mglru-m512-writers n1-v2-classic-m256-slow-writers n2-v1-mglru n1-v1-classic
}

more_guest() {
	printf '%s\n' n1-v2-classic n1-v1-mglru n2-v2-mglru n2-v1-classic n4-v2-classic \
		n4-v1-mglru n2-v1-classic-nfs n2-v2-classic-xfs \
		n2-v2-mglru-memcgless n2-v2-mglru-v1less \
		n1-v2-mglru-m256-swap-ways n1-v2-mglru-m256-swap-steady \
		n2-v2-mglru-latency n2-v2-classic-latency \
		n1-v2-mglru-m256-slow-writers n1-v2-classic-m256-writers \
		n2-v2-classic-m512-writers \
		n1-v2-mglru-m256-deaddisk n1-v2-classic-m256-deaddisk
}

# guest_kernel_of NAME: the kernel that a machine of that name boots.
guest_kernel_of() {
	case $1 in
	*-debug) printf 'debug\n' ;;
	*-memcgless) printf 'memcgless\n' ;;
	*-v1less) printf 'v1less\n' ;;
	*) printf 'series\n' ;;
	esac
}

setup_guest() {
	local kernel kernels fragments
	kernels=$(for kernel in "$@"; do guest_kernel_of "$kernel"; done | sort -ru)
	tree_source series && build_needs && guest_needs || return
	for kernel in $kernels; do
		fragments=(guest series)
		[ "$kernel" = series ] || fragments+=("$kernel")
		guest_kernel "$kernel" "$MP_SRC" "${fragments[@]}" || return
		guest_probe "$kernel"
	done
}

# guest_alone NAME: the scenario that a guest of that name has to itself.
guest_alone() {
	local scenario
	for scenario in "${GUEST_ALONE[@]}"; do
		[[ -$1- != *-$scenario-* ]] || printf '%s\n' "$scenario"
	done
}

# guest_work KERNEL NAME: what runs inside, everything that there is. Scenarios come first, since
# they are about real caches, of which kselftests leave bits and pieces on every node.
guest_work() {
	local scenario work='run-tests' alone
	alone=$(guest_alone "$2")
	if [ -n "$alone" ]; then
		work+=" scenario:$alone"
	else
		for scenario in "$MP_TOP"/selftests/scenarios/*; do
			scenario=$(basename "$scenario")
			[ -n "$(guest_alone "$scenario")" ] || work+=" scenario:$scenario"
		done
		! grep -q '^CONFIG_.*_KUNIT_TEST=y' "$MP_OUT/build/$1/.config" || work+=' kunit'
		[ ! -s "$MP_OUT/build/$1/kselftest-install/kselftest-list.txt" ] ||
			work+=' kselftest'
	fi
	[ "$1" != debug ] || work="MP_SLOW=16 $work kmemleak"
	printf '%s\n' "$work"
}

run_guest() {
	guest_test "guest.$1" "$1" "$(guest_kernel_of "$1")" && guest_report
}

# guest_test LOG NAME KERNEL: boots the machine of that name and puts what the guest's tests said
# into $TEST_RESULTS. Fails if there was a splat or no end; a test that failed is no reason.
guest_test() {
	local rc=0 alone machine=$2-kunit GUEST_TIMEOUT=$GUEST_TIMEOUT
	alone=$(guest_alone "$2")
	if [ -n "$alone" ]; then
		machine=${2/-$alone/}
		GUEST_TIMEOUT=$((GUEST_TIMEOUT * 2))
	fi
	guest_boot -l "test/$1" "$machine" "$3" "$(guest_work "$3" "$2")" || rc=$?
	tap_parse "$GUEST_OUT" >"$TEST_RESULTS"
	[ "$rc" -ne 0 ] || return 0
	case $GUEST_WHY in
	'the job failed'*) return 0 ;;
	esac
	printf 'fail\tthe guest\t%s\n' "$GUEST_WHY" >>"$TEST_RESULTS"
	printf '%s\n' "$GUEST_WHY" >&3
	return 1
}

guest_report() { ! grep -q '^fail' "$TEST_RESULTS"; }
