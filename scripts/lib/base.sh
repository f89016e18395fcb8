# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The base: Linux 7.3.y as one commit in out/tree. It comes from the user's own tree (--tree or
# MP_TREE, which always wins and is never written to), or else from Debian's linux-source package,
# which is fetched by a private apt configuration and installs nothing.
#
# Every base imported so far stays in out/tree as refs/bases/KEY, so that going from one to
# another and back costs nothing. Needs lib/tree.sh.

MP_BASE_SERIES=7.3
MP_BASE_PACKAGE=linux-source-$MP_BASE_SERIES
# Where apt's own configuration is; a test points it elsewhere.
MP_APT_ETC=${MP_APT_ETC:-/etc/apt}

# base_get: makes sure that the base is there; sets MP_BASE, its commit.
base_get() {
	local key
	tree_init
	if [ -n "${MP_TREE:-}" ]; then
		base_check_tree "$MP_TREE"
		key=$(base_user_key "$MP_TREE")
	else
		key=debian
	fi
	MP_BASE=$(tree_git rev-parse -q --verify "refs/bases/$key^{commit}" || true)
	[ -z "$MP_BASE" ] || return 0
	need_space "$MP_OUT" 6000
	case $key in
	debian) base_from_debian ;;
	git-*) base_from_git "$MP_TREE" "$key" ;;
	*) base_from_directory "$MP_TREE" "$key" ;;
	esac
	MP_BASE=$(tree_git rev-parse -q --verify "refs/bases/$key^{commit}")
}

# ---- what a kernel tree is -------------------------------------------------------------------

# base_version DIR: "7.3.4", read from DIR's Makefile; nothing if that is no kernel's.
base_version() {
	[ -e "$1/Makefile" ] || return 0
	base_version_of_makefile <"$1/Makefile"
}

base_version_of_makefile() {
	awk '$2 == "=" && /^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) =/ { v[$1] = $3 }
	     END { if ("SUBLEVEL" in v)
	               print v["VERSION"] "." v["PATCHLEVEL"] "." v["SUBLEVEL"] v["EXTRAVERSION"] }'
}

# base_check_tree DIR: ends the command unless DIR is a kernel tree that the series can go onto.
base_check_tree() {
	local version
	[ -d "$1" ] || die "no such directory: $1" 2
	version=$(base_version "$1")
	{ [ -n "$version" ] && [ -e "$1/mm/shrinker.c" ]; } || die "not a kernel tree: $1" 2
	printf '%s\n' "$MP_BASE_SERIES" "$version" | sort -V -C ||
		die "$1 is Linux $version; the series is for $MP_BASE_SERIES.y or newer" 2
	case $version in
	"$MP_BASE_SERIES".*) ;;
	*) warn "$1 is Linux $version, newer than the $MP_BASE_SERIES.y of the series: trying it" ;;
	esac
}

# base_is_git DIR: whether DIR is the top of a git work tree.
base_is_git() {
	[ "$(git_plain -C "$1" rev-parse --show-toplevel 2>/dev/null)" = "$(cd "$1" && pwd -P)" ]
}

# base_dirty DIR: the first uncommitted changes of a git tree; nothing if it is clean.
base_dirty() { git_plain --no-optional-locks -C "$1" status --porcelain -uno | head -n 5; }

# base_user_key DIR: a name for what is in DIR now.
base_user_key() {
	local dirty
	if base_is_git "$1"; then
		dirty=$(base_dirty "$1")
		[ -z "$dirty" ] || die "$1 has uncommitted changes; commit or stash them first:
$dirty" 2
		printf 'git-%s\n' "$(git_plain -C "$1" rev-parse -q --verify 'HEAD^{tree}')" ||
			die "$1 has no commit" 2
	else
		printf 'plain-%s\n' "$(cd "$1" && find . -type f -printf '%P %s %T@ %m\n' |
			sort | sha256sum | cut -c1-40)"
	fi
}

# ---- import ----------------------------------------------------------------------------------

# base_record TREE KEY: makes the base commit of a git tree object and files it.
base_record() {
	local version commit
	version=$(tree_git show "$1:Makefile" | base_version_of_makefile)
	commit=$(printf 'Linux %s\n' "$version" | tree_commit_as_series "$MP_BASE_DATE" "$1")
	tree_git update-ref "refs/bases/$2" "$commit"
	step "base: Linux $version, commit ${commit:0:12}"
}

base_from_git() {
	step "importing the base from the git tree $1"
	log_run base-import tree_git fetch --depth=1 --no-tags "file://$1" HEAD ||
		die "cannot read the git tree $1"
	base_record "$(tree_git rev-parse 'FETCH_HEAD^{tree}')" "$2"
	# Which public commit it is, for the cover letter's base-commit.
	tree_git config "base.$(tree_git rev-parse "refs/bases/$2").origin" \
		"$(tree_git rev-parse FETCH_HEAD)"
	rm -f "$MP_OUT/tree/.git/FETCH_HEAD" "$MP_OUT/tree/.git/shallow"
}

base_from_directory() {
	mp_tmpdir
	step "copying $1"
	log_run base-copy cp -a --reflink=auto "$1" "$MP_TMP/linux" || die "cannot copy $1"
	base_import "$MP_TMP/linux" "$2"
}

# base_import DIR KEY: imports a directory that is ours to change, and removes it.
base_import() {
	# Debian's .gitignore ends by ignoring everything at the top level.
	[ ! -e "$1/.gitignore" ] || sed -i -e ':a' \
		-e '/^[[:space:]]*#*[[:space:]]*$/{$d;N;ba}' \
		-e '/# Debian packaging/,$d' "$1/.gitignore"
	step "importing the tree into git (half a minute)"
	log_run base-import env GIT_INDEX_FILE="$MP_TMP/index" GIT_WORK_TREE="$1" \
		git -C "$1" --git-dir="$MP_OUT/tree/.git" -c core.autocrlf=false add -A . ||
		die "cannot import $1"
	base_record "$(GIT_INDEX_FILE=$MP_TMP/index tree_git write-tree)" "$2"
	rm -rf "$1"
}

# ---- Debian's package ------------------------------------------------------------------------

base_from_debian() {
	local deb tarball sum
	mkdir -p "$MP_OUT/base"
	deb=$(base_cached_deb)
	if [ -z "$deb" ]; then
		base_fetch
		deb=$(base_cached_deb)
	fi
	need dpkg:dpkg-deb xz-utils:xz tar
	mp_tmpdir
	tarball=$MP_TMP/linux.tar.xz
	step "unpacking ${deb##*/}"
	log_run base-unpack base_unpack "$deb" "$tarball" || {
		rm -f "$deb"
		die "${deb##*/} was damaged and is removed: run this again"
	}
	sum=$(sha256sum "$tarball" | cut -d' ' -f1)
	step "base: ${deb##*/}"
	step "base: sha256 of its tarball: $sum"
	printf '%s  %s\n' "$sum" "${deb##*/}" | tee -a "$MP_OUT/logs/base.log" |
		put_file "$MP_OUT/base/tarball.sha256"
	rm -f "$tarball"
	base_check_tree "$MP_TMP/linux"
	base_import "$MP_TMP/linux" debian
}

# base_cached_deb: the newest package in out/base, the right series first.
base_cached_deb() {
	find "$MP_OUT/base" -maxdepth 1 -name 'linux-source-*.deb' -printf '%f\n' | sort -V |
		awk -v dir="$MP_OUT/base/" -v want="${MP_BASE_PACKAGE}_" \
			'index($0, want) == 1 { right = $0 } { last = $0 }
			 END { if (NR) print dir (right ? right : last) }'
}

# base_unpack DEB TARBALL: the package's tarball, and from it $MP_TMP/linux.
base_unpack() {
	local member
	member=$(dpkg-deb --fsys-tarfile "$1" | tar t | grep -E '/linux-source-[^/]*\.tar\.xz$') &&
		dpkg-deb --fsys-tarfile "$1" | tar xO "$member" >"$2" &&
		mkdir -p "$MP_TMP/linux" &&
		tar x -f "$2" -C "$MP_TMP/linux" --strip-components=1
}

# base_fetch: tries each suite by itself, since a mirror may hold some that are out of date.
base_fetch() {
	local sources suite package newer='' newer_suite=''
	command -v apt-get >/dev/null || base_none "this is not a Debian machine"
	sources=$(base_mirrors)
	[ -n "$sources" ] || base_none "the apt sources of this machine name no Debian mirror"
	mp_tmpdir
	while read -r suite; do
		base_update "$suite" "$sources" || continue
		package=$(base_offer "$suite")
		if [ "$package" = "$MP_BASE_PACKAGE" ]; then
			base_download "$suite" "$package"
			return
		fi
		if [ -n "$package" ] && [ "$(printf '%s\n%s\n' "$newer" "$package" | sort -V |
			tail -n 1)" != "$newer" ]; then
			newer=$package newer_suite=$suite
		fi
	done < <(base_suites)
	[ -n "$newer" ] ||
		base_none "no mirror offers $MP_BASE_PACKAGE (see $MP_OUT/logs/apt-*.log)"
	warn "no $MP_BASE_PACKAGE to be had: trying $newer, from $newer_suite"
	base_download "$newer_suite" "$newer"
}

base_none() {
	die "no base: $1. Give a tree of Linux $MP_BASE_SERIES.y: --tree DIR, or MP_TREE=DIR" 3
}

# The suites that may hold it: the likely one first, then this machine's own.
base_suites() {
	local own
	# shellcheck disable=SC1091
	own=$(. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:-}") || own=
	printf '%s\n' trixie-backports "${own:-sid}-backports" "${own:-sid}" forky sid \
		experimental | awk '!seen[$0]++'
}

# base_mirrors: "URI KEYRING" (or "URI -") of each Debian mirror in this machine's apt sources,
# in whichever of the two formats they are written.
base_mirrors() {
	local file
	for file in "$MP_APT_ETC"/sources.list "$MP_APT_ETC"/sources.list.d/*.list \
		"$MP_APT_ETC"/sources.list.d/*.sources; do
		[ -e "$file" ] || continue
		case $file in
		*.list) base_mirrors_one_line <"$file" ;;
		*) base_mirrors_deb822 <"$file" ;;
		esac
	done | awk '$1 !~ /security/ && !seen[$1]++'
}

MP_SUITES_RE='^(stable|testing|unstable|sid|oldstable|bookworm|trixie|forky|duke)(-[a-z-]+)?$'

base_mirrors_one_line() {
	awk -v suites="$MP_SUITES_RE" '
		$1 != "deb" { next }
		{ key = "-"; i = 2
		  if ($i ~ /^\[/) {
			do if (match($i, /signed-by=[^] ]+/))
				key = substr($i, RSTART + 10, RLENGTH - 10)
			while ($(i++) !~ /\]$/ && i <= NF)
		  }
		  if ($(i + 1) ~ suites) print $i, key }'
}

base_mirrors_deb822() {
	awk -v suites="$MP_SUITES_RE" '
		function done(  i, n, s, hit) {
			n = split(suite, s); for (i = 1; i <= n; i++) if (s[i] ~ suites) hit = 1
			n = split(uris, s); for (i = 1; hit && i <= n; i++) print s[i], key
			suite = uris = ""; key = "-"
		}
		BEGIN { key = "-" }
		/^[[:space:]]*$/ { done(); next }
		/^#/ { next }
		{ line = $0; sub(/^[^:]*:[[:space:]]*/, "", line) }
		/^URIs:/ { uris = line }
		/^Suites:/ { suite = line }
		/^Signed-By:[[:space:]]*\// { key = line }
		END { done() }'
}

# base_apt SUITE TOOL ARG...: apt with lists and sources of its own, and this machine's proxies.
base_apt() {
	local dir=$MP_OUT/base/apt/$1
	shift
	"$1" -q -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=2 -o Acquire::Languages=none \
		-o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "${@:2}"
}

# base_update SUITE "URI KEYRING"...: fetches the suite's lists from the first mirror that has it.
base_update() {
	local dir=$MP_OUT/base/apt/$1 uri key
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	while read -r uri key; do
		if [ "$key" = - ]; then key=; fi
		printf 'deb %s%s %s main\n' "${key:+[signed-by=$key] }" "$uri" "$1" \
			>"$dir/sources.list"
		step "asking the mirror for $1"
		! run_child base_apt "$1" apt-get update --error-on=any \
			>"$MP_OUT/logs/apt-$1.log" 2>&1 || return 0
	done <<<"$2"
	return 1
}

# base_offer SUITE: the best linux-source-X.Y there, the right one or the newest after it.
base_offer() {
	local names last
	names=$(base_apt "$1" apt-cache pkgnames linux-source- |
		grep -xE 'linux-source-[0-9]+\.[0-9]+' | sort -V || true)
	if grep -qxF "$MP_BASE_PACKAGE" <<<"$names"; then
		printf '%s\n' "$MP_BASE_PACKAGE"
		return
	fi
	last=$(printf '%s\n' "$MP_BASE_PACKAGE" "$names" | sort -V | tail -n 1)
	[ "$last" = "$MP_BASE_PACKAGE" ] || printf '%s\n' "$last"
}

# base_download SUITE PACKAGE: apt checks what it gets; only a whole file reaches out/base.
base_download() {
	local dir=$MP_OUT/base/partial
	step "downloading $2 from $1 (170 MB)"
	rm -rf "$dir"
	mkdir -p "$dir"
	log_run download base_download_into "$dir" "$@" ||
		base_none "downloading $2 failed"
	mv "$dir"/linux-source-*.deb "$MP_OUT/base/"
	rm -rf "$dir"
}

base_download_into() { cd "$1" && base_apt "$2" apt-get download "$3"; }
