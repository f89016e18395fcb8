# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Reading the file `series`: a quilt series whose `# part: NAME -- why` lines begin the parts,
# and where a patch's ` # test-only` says that it adds tests and no behaviour. A patch's path is
# relative to patches/ and begins with its part: PART/NN-slug.patch.

MP_SERIES=$MP_TOP/series
MP_PATCHES=$MP_TOP/patches

# series_rows: one line a patch, "PATH MARK", MARK being test-only or -.
series_rows() {
	[ -e "$MP_SERIES" ] || return 0
	awk '/^[[:space:]]*(#|$)/ { next }
	     { mark = /[[:space:]]#.*test-only/ ? "test-only" : "-"; print $1, mark }' "$MP_SERIES"
}

# series_parts: the parts in order, those that have no patch yet included.
series_parts() {
	[ -e "$MP_SERIES" ] || return 0
	awk '/^# part:/ { part = $3 }
	     /^[[:space:]]*[^#[:space:]]/ { part = $1; sub("/.*", "", part) }
	     part != "" && !seen[part]++ { print part }' "$MP_SERIES"
}

# series_part_why PART: what its `# part:` line says of it.
series_part_why() {
	awk -v part="$1" '/^# part:/ && $3 == part { sub(/^# part: [^ ]+( --)? ?/, ""); print }' \
		"$MP_SERIES"
}

# series_patches [PART]...: the paths in order, of those parts only if any are given.
series_patches() {
	series_rows | awk -v parts=" $* " '
		{ part = $1; sub("/.*", "", part) }
		parts == "  " || index(parts, " " part " ") { print $1 }'
}

# series_test_only: the patches that make the kernel on which tests of new behaviour must fail.
series_test_only() { series_rows | awk '$2 == "test-only" { print $1 }'; }

# series_need_parts PART...: ends the command if one is not in the series.
series_need_parts() {
	local part
	for part in "$@"; do
		series_parts | grep -qxF -- "$part" ||
			die "no part '$part' in the series, but $(series_parts | paste -sd' ')" 2
	done
}

# series_problems: what is wrong between series and patches/, a line each; nothing if all is well.
series_problems() {
	local there listed
	listed=$(series_rows | awk '{ print $1 }')
	there=$(find "$MP_PATCHES" -name '*.patch' -printf '%P\n' 2>/dev/null || true)
	sort <<<"$listed" | uniq -d | sed '/^$/d; s/$/: listed twice/'
	comm -23 <(sort -u <<<"$listed") <(sort <<<"$there") |
		sed '/^$/d; s/$/: listed, but not there/'
	comm -13 <(sort -u <<<"$listed") <(sort <<<"$there") |
		sed '/^$/d; s/$/: there, but not listed/'
	awk '$0 == "" { next }
	     !/^[a-z0-9_]+\/[0-9][0-9]+-[^\/ ]+\.patch$/ {
	       print $0 ": not PART/NN-slug.patch"; next }
	     { split($0, p, "/"); nn = p[2] + 0
	       if (p[1] != part) { if (seen[p[1]]++) print $0 ": its part is not in one piece"
	                           part = p[1]; want = 1 }
	       if (nn != want) print $0 ": number " want " would be next"
	       want = nn + 1 }' <<<"$listed"
}

# series_check: ends the command if series and patches/ do not agree.
series_check() {
	local problems
	problems=$(series_problems)
	[ -z "$problems" ] || die "series and patches/ disagree:
$problems" 2
}
