# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Test group "static": the repository itself.

# shellcheck disable=SC2034	# scripts/test reads it
TEST_PARALLEL_static=2

list_static() { printf '%s\n' shellcheck spdx series map help lines names; }

setup_static() { need shellcheck git; }

run_static() {
	local bad
	cd "$MP_TOP" || return 1
	bad=$("static_$1")
	[ -n "$bad" ] || return 0
	printf '%s\n' "$bad"
	printf '%s (%s in all)\n' "$(head -n 1 <<<"$bad")" "$(wc -l <<<"$bad")" >&3
	return 1
}

# static_files: what belongs to the repository, also before it is committed.
static_files() {
	if [ -e .git ]; then
		git_plain ls-files -co --exclude-standard | while read -r file; do
			[ ! -f "$file" ] || printf '%s\n' "$file"
		done
	else
		find . -path ./out -prune -o -type f -printf '%P\n'
	fi | sort
}

# The scripts that bash or a guest's sh runs.
static_scripts() {
	static_files | while read -r file; do
		case $file in
		*.sh) printf '%s\n' "$file" ;;
		*.patch) ;;
		*) ! head -n 1 "$file" | grep -qaE '^#!.*sh\b' || printf '%s\n' "$file" ;;
		esac
	done
}

static_commands() { static_scripts | grep -E '^scripts/[^/]+$'; }

static_shellcheck() {
	static_scripts | while read -r file; do
		shellcheck -f gcc "$file" || true
	done
}

# A patch says it in the files that it adds (checkpatch looks), a cover letter is a mail.
static_spdx() {
	static_files | grep -vE '^(patches/|series$)' | while read -r file; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0' ||
			printf '%s: no SPDX line\n' "$file"
	done
}

static_series() {
	local part
	series_problems
	for part in $(series_parts); do
		[ -n "$(series_part_why "$part")" ] ||
			printf 'series: why is part %s there?\n' "$part"
		[ -z "$(series_patches "$part")" ] || [ -s "patches/$part/cover.txt" ] ||
			printf 'patches/%s: no cover.txt\n' "$part"
	done
	find patches -name '*.patch' 2>/dev/null | while read -r file; do
		! grep -q '^Signed-off-by:' "$file" || printf '%s: carries a sign-off\n' "$file"
	done
}

# The map from sources to patches to tests names each patch, and no other.
static_map() {
	local map=Documentation/map.rst slugs
	slugs=$(series_patches | sed -E 's|^[^/]*/[0-9]+-||; s|\.patch$||')
	while read -r slug; do
		[ -z "$slug" ] || grep -qF "\`\`$slug\`\`" "$map" ||
			printf '%s: not in %s\n' "$slug" "$map"
	done <<<"$slugs"
	# shellcheck disable=SC2016	# what rst quotes with
	grep -oE '``[a-z0-9.]+(-[a-z0-9.]+){4,}``' "$map" | tr -d '`' | sort -u |
		grep -vxF "${slugs:-none}" | sed "s|^|$map: no patch |" || true
}

static_help() {
	static_commands | while read -r file; do
		[ -x "$file" ] || printf '%s: not executable\n' "$file"
		"$file" --help 2>&1 | grep -q '^usage: ' ||
			printf '%s: --help shows no usage\n' "$file"
		"$file" --no-such-option >/dev/null 2>&1 && printf '%s: takes any option\n' "$file"
		[ $? = 2 ] || printf '%s: a bad option is not exit status 2\n' "$file"
	done
}

static_lines() {
	static_scripts | while read -r file; do
		expand "$file" | awk -v file="$file" \
			'length > 100 { print file ":" NR ": " length " columns" }'
	done
}

# Neither the directory that this happens to lie in, nor the mirror that this machine uses.
static_names() {
	local parent hosts
	parent=$(dirname "$MP_TOP")/
	hosts=$(grep -rhoE 'https?://[^/ ]+' /etc/apt/sources.list{,.d} 2>/dev/null |
		sed 's|.*://||' | sort -u || true)
	[ "${#parent}" -gt 4 ] || parent=
	static_files | tr '\n' '\0' |
		xargs -0 grep -nIF "$(printf '%s\n' "$parent" "$hosts" | sed '/^$/d')" -- || true
}
