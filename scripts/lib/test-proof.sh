# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Test group "proof": what the tests are worth. The proof kernel is the base with only those
# patches of the series that bring tests. There a test of new behaviour, whose name begins with
# "new:", has to fail, and one of what the base does already ("base:") has to pass.

# shellcheck disable=SC2034	# scripts/test reads it
TEST_PARALLEL_proof=2
TEST_MINUTES_proof=22

list_proof() { printf '%s\n' n2-v2-mglru n4-v1-classic n2-v2-mglru-nfs; }

# On one node the writers of kselftest kswapd bring the base to its knees: it may panic.
more_proof() { printf '%s\n' n1-v2-mglru; }

setup_proof() {
	tree_source proof && build_needs && guest_needs || return
	guest_kernel proof "$MP_SRC" guest series || return
	guest_probe proof
}

run_proof() {
	local given=$TEST_RESULTS rc=0
	TEST_RESULTS=$given.guest
	guest_test "proof.$1" "$1" proof || rc=$?
	proof_verdicts "$TEST_RESULTS" >"$given"
	TEST_RESULTS=$given
	[ "$rc" -eq 0 ] && guest_report
}

# proof_verdicts RESULTS: the results, turned over for what is new.
proof_verdicts() {
	awk -F '\t' -v OFS='\t' '
	$2 !~ /(^|: )new: / { print; next }
	$1 == "ok" {
		print "fail", $2 " (must fail here)", "it passes without the change it tests"
		next
	}
	$1 == "fail" { print "ok", $2 " (fails, as it must)", ""; next }
	{ print "skip", $2, $3 }' "$1"
}
