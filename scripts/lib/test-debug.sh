# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Test group "debug": what group guest runs, on a kernel with the checkers (KASAN, lockdep, kmemleak
# and more: kernel-config/debug.config), which looks for leaks at the end. Names are those of group
# guest, whose functions it uses.

# shellcheck disable=SC2034	# scripts/test reads them
TEST_PARALLEL_debug=2
# The build, and then the guest that takes longest, on two cores.
TEST_MINUTES_debug=50

list_debug() { printf '%s\n' n2-v2-mglru; }

more_debug() { printf '%s\n' n4-v1-classic n2-v2-mglru-nfs n2-v2-mglru-churn; }

setup_debug() { setup_guest "${@/%/-debug}"; }

run_debug() {
	guest_test "debug.$1" "$1-debug" debug && guest_report
}
