# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Test group "patches": each patch by checkpatch; the round trips between the forms of the series;
# and the commands that handle it, given bad input. Nothing of it touches out/tree: it works on
# sparse clones that hold the files the series touches, and on copies of this repository.

# shellcheck disable=SC2034	# scripts/test reads it
TEST_PARALLEL_patches=2

list_patches() {
	printf '%s\n' checkpatch refresh git-am quilt apply b4 bad-tree bad-refresh bad-apply \
		bad-submit bad-machine interrupted
}

setup_patches() {
	need git quilt patch b4
	need_checkpatch
	tree_make
	need_space "$MP_OUT" 1500
}

run_patches() {
	local missing=
	mp_tmpdir
	mapfile -t series < <(series_patches)
	if [ ${#series[@]} -eq 0 ]; then
		case $1 in
		bad-* | interrupted) ;;
		*)
			echo 'the series is empty' >&3
			return 4
			;;
		esac
	fi
	want=$(tree_git rev-parse 'series^{tree}')
	sub_failed=0
	"patches_${1//-/_}"
	return "$sub_failed"
}

# ---- helpers ---------------------------------------------------------------------------------

# sub ok|fail|skip NAME [WHY]: the result of a subtest.
sub() {
	printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >>"$TEST_RESULTS"
	[ "$1" != fail ] || sub_failed=1
}

# sub_if NAME CMD [ARG]...: a subtest that passes if CMD does.
sub_if() {
	local name=$1
	shift
	echo "== $name: $*"
	if "$@"; then sub ok "$name"; else sub fail "$name" "failed: $*"; fi
}

# expect NAME STATUS TEXT CMD [ARG]...: a command has to end with STATUS and say TEXT (a regex).
expect() {
	local name=$1 status=$2 text=$3 rc=0 said
	shift 3
	said=$("$@" 2>&1 </dev/null) || rc=$?
	printf '== %s: %s\n%s\n-- %s\n' "$name" "$*" "$said" "$rc"
	if [ "$rc" != "$status" ]; then
		sub fail "$name" "exit status $rc and not $status: $(tail -n 1 <<<"$said")"
	elif ! grep -qE -- "$text" <<<"$said"; then
		sub fail "$name" "it does not say /$text/: $(tail -n 1 <<<"$said")"
	else
		sub ok "$name"
	fi
}

# touched: the files that the series touches, and what a kernel tree is known by.
touched() {
	tree_git diff --name-only "$MP_BASE" series
	printf '%s\n' Makefile MAINTAINERS mm/shrinker.c mm/vmscan.c
}

# clone DIR [COMMIT]: a git tree at the base, or at COMMIT, with the touched files only.
clone() {
	git_plain clone -q --shared --no-checkout "$MP_OUT/tree" "$1"
	touched | sed 's|^|/|' | git_plain -C "$1" sparse-checkout set --no-cone --stdin
	git_plain -C "$1" checkout -q --detach "${2:-$MP_BASE}"
}

# plain DIR: the same without git.
plain() {
	clone "$1"
	rm -rf "$1/.git"
}

# is_series DIR: whether a directory's files are those of the series, and there are no others.
is_series() {
	local index=$MP_TMP/is.index got other
	other=$(find "$1" \( -name .git -o -path "$1/.pc" -o -path "$1/patches" \) -prune \
		-o -type f -printf '%P\n' | sort | comm -23 - <(touched | sort))
	[ -z "$other" ] || { echo "not a file of the series: $other"; return 1; }
	rm -f "$index"
	got=$(
		export GIT_INDEX_FILE=$index
		tree_git read-tree "$MP_BASE"
		tree_git diff --name-only "$MP_BASE" series |
			tree_git --work-tree="$1" update-index --add --remove --stdin
		tree_git write-tree
	)
	[ "$got" = "$want" ] || { echo "tree $got and not $want"; return 1; }
}

# print_of DIR: a hash of all that is in a directory, and of where a git tree stands.
print_of() {
	{
		find "$1" -name .git -prune -o -type f -printf '%P %m\n' -exec sha256sum {} + | sort
		[ ! -e "$1/.git" ] || git_plain -C "$1" rev-parse HEAD
	} | sha256sum
}

# copy_repo DIR: this repository, to be changed.
copy_repo() {
	mkdir -p "$1"
	cp -r "$MP_TOP"/scripts "$MP_TOP"/kernel-config "$1"
	for missing in patches series; do
		[ ! -e "$MP_TOP/$missing" ] || cp -r "$MP_TOP/$missing" "$1"
	done
}

# twin DIR: an out directory that has the base (and no more) in a sparse clone.
twin() {
	mkdir -p "$1"
	clone "$1/tree"
	git_plain -C "$1/tree" remote remove origin
	git_plain -C "$1/tree" update-ref refs/bases/debian "$MP_BASE"
}

# in_twin REPO OUT COMMAND [ARG]...: a command of a repository's copy, with an out directory of
# its own.
in_twin() {
	local repo=$1 out=$2 command=$3
	shift 3
	env -u MP_LOCKED -u MP_TREE -u MP_TMP MP_OUT="$out" "$repo/scripts/$command" "$@"
}

# as_committer DIR ARG...: git in DIR by the committer of the series.
as_committer() {
	GIT_COMMITTER_NAME=$MP_IDENT_NAME GIT_COMMITTER_EMAIL=$MP_IDENT_MAIL \
		GIT_AUTHOR_NAME=$MP_IDENT_NAME GIT_AUTHOR_EMAIL=$MP_IDENT_MAIL git_plain -C "$@"
}

# ---- the patches -----------------------------------------------------------------------------

patches_checkpatch() {
	local patch said
	for patch in "${series[@]}"; do
		if said=$(tree_checkpatch "$MP_PATCHES/$patch" --no-signoff 2>&1); then
			sub ok "$patch"
		else
			printf '== %s\n%s\n' "$patch" "$said"
			sub fail "$patch" "$(grep -m1 -E '^(ERROR|WARNING|CHECK)' <<<"$said")"
		fi
	done
}

# ---- round trips -----------------------------------------------------------------------------

patches_refresh() {
	local repo=$MP_TMP/repo out=$MP_TMP/twin
	copy_repo "$repo"
	twin "$out"
	sub_if 'tree makes the series' in_twin "$repo" "$out" tree
	sub_if 'with the same hash' test "$(git_plain -C "$out/tree" rev-parse series)" = \
		"$(tree_git rev-parse series)"
	sub_if 'refresh has nothing to write' in_twin "$repo" "$out" refresh --check
	rm -r "${repo:?}"/patches/*/*.patch
	sub_if 'refresh writes lost patches again' in_twin "$repo" "$out" refresh
	sub_if 'out and back changes no byte' diff -r "$MP_PATCHES" "$repo/patches"
	sub_if 'nor a byte of series' cmp "$MP_SERIES" "$repo/series"
}

patches_git_am() {
	clone "$MP_TMP/am"
	sub_if 'git am takes the patches' as_committer "$MP_TMP/am" am -q \
		--keep-non-patch --committer-date-is-author-date "${series[@]/#/$MP_PATCHES/}"
	sub_if 'it gives the commits of scripts/tree' test \
		"$(git_plain -C "$MP_TMP/am" rev-parse HEAD)" = "$(tree_git rev-parse series)"
	sub_if 'and their tree' is_series "$MP_TMP/am"
}

patches_quilt() {
	plain "$MP_TMP/quilt"
	sub_if 'quilt push -a' env -C "$MP_TMP/quilt" QUILT_PATCHES="$MP_PATCHES" \
		QUILT_SERIES="$MP_SERIES" quilt --quiltrc - push -a -q --fuzz=0
	sub_if 'it gives the tree of scripts/tree' is_series "$MP_TMP/quilt"
}

patches_apply() {
	local how dir
	for how in git quilt patch; do
		dir=$MP_TMP/apply-$how
		if [ "$how" = git ]; then clone "$dir"; else plain "$dir"; fi
		sub_if "apply --$how" "$MP_TOP/scripts/apply" "$dir" "--$how"
		sub_if "apply --$how gives the tree of scripts/tree" is_series "$dir"
		expect "apply --$how a second time" 2 'has this already|has a patches' \
			"$MP_TOP/scripts/apply" "$dir" "--$how"
	done
	dir=$MP_TMP/parts
	plain "$dir"
	# shellcheck disable=SC2046
	sub_if 'apply --part, for each part' "$MP_TOP/scripts/apply" "$dir" \
		$(printf -- '--part %s ' $(series_parts))
	sub_if 'all parts are the series' is_series "$dir"
}

patches_b4() {
	local part dir=$MP_TMP/b4
	clone "$dir"
	for part in $(printf '%s\n' "${series[@]%%/*}" | uniq); do
		sub_if "submit --part $part" "$MP_TOP/scripts/submit" --part "$part" \
			--from 'A U Thor <author@example.com>' --assisted-by none --version 99 \
			--out-mbox "$MP_TMP/$part.mbox"
		[ -e "$MP_TMP/$part.mbox" ] || continue
		sub_if "b4 am of $part" run_child tree_b4_am "$MP_TMP/$part.mbox" "$MP_TMP/am-$part"
		sub_if "git am of $part" as_committer "$dir" am -q "$MP_TMP/am-$part"/*.mbx
	done
	sub_if 'it gives the tree of scripts/tree' is_series "$dir"
	sub_if 'each patch has the sign-off' test "${#series[@]}" = \
		"$(git_plain -C "$dir" log --format=%B "$MP_BASE.." |
			grep -c '^Signed-off-by: A U Thor <author@example.com>$')"
	sub_if 'and the author' test "$(git_plain -C "$dir" log --format='%an <%ae>' "$MP_BASE.." |
		sort -u)" = 'A U Thor <author@example.com>'
}

# ---- bad input -------------------------------------------------------------------------------

# old_tree DIR: a tree that says it is 6.12.
old_tree() {
	mkdir -p "$1/mm"
	touch "$1/mm/shrinker.c"
	printf '%s\n' 'VERSION = 6' 'PATCHLEVEL = 12' 'SUBLEVEL = 1' 'EXTRAVERSION =' >"$1/Makefile"
}

patches_bad_tree() {
	local repo=$MP_TMP/repo out=$MP_TMP/twin tree=$MP_TMP/twin/tree user=$MP_TMP/user
	copy_repo "$repo"
	twin "$out"
	clone "$user"
	old_tree "$MP_TMP/old"
	mkdir "$MP_TMP/empty"
	expect 'no such tree' 2 'no such directory' in_twin "$repo" "$out" tree --tree "$MP_TMP/no"
	expect 'no kernel tree' 2 'not a kernel tree' in_twin "$repo" "$out" tree \
		--tree "$MP_TMP/empty"
	expect 'an old tree' 2 '6\.12\.1.* 7\.3\.y or newer' in_twin "$repo" "$out" tree \
		--tree "$MP_TMP/old"
	echo >>"$user/mm/shrinker.c"
	expect "a user's dirty tree" 2 'uncommitted changes' in_twin "$repo" "$out" tree \
		--tree "$user"
	git_plain -C "$user" checkout -q .
	expect "a user's git tree" 0 'series at' in_twin "$repo" "$out" tree --tree "$user"
	sub_if 'gives the same base' test "$(git_plain -C "$tree" rev-parse base)" = "$MP_BASE"
	expect 'and back' 0 'series at' in_twin "$repo" "$out" tree
	expect 'an option without its value' 2 'needs a value' in_twin "$repo" "$out" tree --tree
	echo >>"$tree/mm/shrinker.c"
	expect 'changes in out/tree are not thrown away' 2 'in no commit' \
		in_twin "$repo" "$out" tree
	as_committer "$tree" commit -qam x
	expect 'nor are commits' 2 'not in patches/' in_twin "$repo" "$out" tree
	expect 'but by --force' 0 'series at' in_twin "$repo" "$out" tree --force
	sub_if 'which gives the series' is_series "$tree"
	[ ${#series[@]} -gt 0 ] || return 0
	sed -i 's/^ /  x/' "$repo/patches/${series[-1]}"
	expect 'a patch that does not apply' 1 "${series[-1]}" in_twin "$repo" "$out" tree
	sub_if 'leaves out/tree as it was' is_series "$tree"
	rm "$repo/patches/${series[-1]}"
	expect 'a patch that is not there' 2 "${series[-1]}: listed, but not there" \
		in_twin "$repo" "$out" tree
}

patches_bad_refresh() {
	local repo=$MP_TMP/repo out=$MP_TMP/twin tree=$MP_TMP/twin/tree
	copy_repo "$repo"
	expect 'no tree' 2 'no such directory' in_twin "$repo" "$MP_TMP/none" refresh
	twin "$out"
	in_twin "$repo" "$out" tree
	expect 'not a git tree' 2 'not a git tree' in_twin "$repo" "$out" refresh --tree "$repo"
	bad_commit 'a sign-off' 'carries a sign-off' $'x: y\n\nz\n\nSigned-off-by: A <a@b.c>' 'x y'
	bad_commit 'a fixup' 'squash it' 'fixup! x: y' 'x y'
	bad_commit 'an empty commit' 'changes nothing' 'x: y' ''
	bad_commit 'a message with a diff' 'would not give its message back' \
		$'x: y\n\ndiff --git a/x b/x\n--- a/x' 'x y'
	bad_commit "context that only Debian has" 'only Debian' 'x: y' debian
	sub_if 'nothing was written' diff -r "$MP_PATCHES" "$repo/patches"
}

# bad_commit NAME TEXT MESSAGE CHANGE: a commit on the series that refresh must refuse.
bad_commit() {
	git_plain -C "$tree" checkout -q -f -B series "$(tree_git rev-parse series)"
	case $4 in
	'') ;;
	debian)
		printf '%s\n' 'void f(void)' 'EXPORT_SYMBOL_GPL(list_lru_add);' >"$tree/mm/vmscan.c"
		as_committer "$tree" commit -qam 'a: b'
		sed -i 's/void f/int f/' "$tree/mm/vmscan.c"
		;;
	*) printf '%s\n' "$4" >>"$tree/mm/vmscan.c" ;;
	esac
	as_committer "$tree" commit -qa \
		--allow-empty -m "$3"
	expect "$1 is refused" 2 "$2" in_twin "$repo" "$out" refresh --part bad
}

patches_bad_apply() {
	local apply=$MP_TOP/scripts/apply user=$MP_TMP/user how file
	clone "$user"
	old_tree "$MP_TMP/old"
	expect 'no tree named' 2 'which tree' "$apply"
	expect 'no such tree' 2 'no such directory' "$apply" "$MP_TMP/no"
	expect 'no kernel tree' 2 'not a kernel tree' "$apply" "$MP_TMP"
	expect 'an old tree' 2 '6\.12\.1' "$apply" "$MP_TMP/old"
	expect 'two ways at once' 2 'exclude each other' "$apply" "$user" --git --quilt
	expect 'no such part' 2 "no part 'none'" "$apply" "$user" --part none
	echo >>"$user/mm/shrinker.c"
	for how in git quilt patch; do
		expect "a dirty tree, --$how" 2 'uncommitted changes' "$apply" "$user" "--$how"
	done
	git_plain -C "$user" checkout -q .
	[ ${#series[@]} -gt 1 ] || return 0
	file=$(late_file)
	echo 'not what the patch expects' >"$user/$file"
	as_committer "$user" commit -qam x
	cp -a "$user" "$MP_TMP/plain"
	rm -rf "$MP_TMP/plain/.git"
	apply_fails git "$user"
	apply_fails quilt "$MP_TMP/plain"
	apply_fails patch "$MP_TMP/plain"
}

# late_file: a file of the base that no early patch touches.
late_file() {
	local patch file
	for patch in "${series[@]}"; do
		sed -n 's|^--- a/||p' "$MP_PATCHES/$patch" | sort -u
	done | awk '!seen[$0]++' | while read -r file; do
		! tree_git cat-file -e "$MP_BASE:$file" 2>/dev/null || printf '%s\n' "$file"
	done | tail -n 1
}

# apply_fails HOW DIR
apply_fails() {
	local before
	before=$(print_of "$2")
	expect "failing midway, --$1" 1 "does not apply: .*\.patch" \
		"$MP_TOP/scripts/apply" "$2" "--$1"
	sub_if "leaves the tree as it was, --$1" test "$(print_of "$2")" = "$before"
}

patches_bad_submit() {
	local submit=$MP_TOP/scripts/submit me='A U Thor <author@example.com>'
	local repo=$MP_TMP/repo part
	expect 'nobody submits' 2 'who submits' "$submit"
	expect 'not a person' 2 'not .NAME <MAIL>' "$submit" --from author@example.com
	expect 'no word on assistance' 2 '--assisted-by' "$submit" --from "$me"
	expect 'no such part' 2 "no part 'none'" "$submit" --from "$me" --assisted-by none \
		--part none
	expect 'sending without a terminal' 2 'needs a terminal' "$submit" --from "$me" \
		--assisted-by none --send
	[ ${#series[@]} -gt 0 ] || return 0
	part=${series[0]%%/*}
	expect 'a trailer in another form' 2 "coding-assistants.rst of this base wants" "$submit" \
		--from "$me" --part "$part" --assisted-by 'Some-Tool/1'
	copy_repo "$repo"
	rm -f "$repo/patches/$part/cover.txt"
	expect 'no cover letter' 2 'no cover letter' "$repo/scripts/submit" --from "$me" \
		--part "$part" --assisted-by none
}

patches_bad_machine() {
	local out=$MP_TMP/out bin=$MP_TMP/bin etc=$MP_TMP/etc
	mkdir -p "$bin" "$etc" "$out/base"
	expect 'a second run at the same time' 2 'another run \(pid [0-9]+\) is using' \
		in_twin "$MP_TOP" "$MP_OUT" tree
	expect 'an out directory that cannot be' 2 'cannot write' in_twin "$MP_TOP" /proc/none tree
	printf 'deb http://127.0.0.1:9/debian trixie main\n' >"$etc/sources.list"
	expect 'no network' 3 'no base: .*--tree DIR' env -u MP_TREE MP_APT_ETC="$etc" \
		"$MP_TOP/scripts/tree" --out "$out"
	: >"$etc/sources.list"
	expect 'no mirror' 3 'name no Debian mirror' env -u MP_TREE MP_APT_ETC="$etc" \
		"$MP_TOP/scripts/tree" --out "$out"
	printf '%s\n' '#!/bin/sh' 'echo Filesystem; echo x 10 5 5 50% /' >"$bin/df"
	chmod +x "$bin/df"
	expect 'no disk space' 3 'needs 6000 MB' env -u MP_TREE PATH="$bin:$PATH" \
		"$MP_TOP/scripts/tree" --out "$out"
	ln -sf /usr/bin/* "$bin/"
	rm -f "$bin/df" "$bin/b4"
	expect 'a missing tool' 3 'apt-get install --no-install-recommends b4' env MP_NO_INSTALL=1 \
		PATH="$bin" "$MP_TOP/scripts/submit" --from 'A <a@example.com>' --assisted-by none \
		--part "$(series_parts | head -n 1)"
	head -c 100000 /dev/zero >"$out/base/linux-source-7.3_7.3.1-1_all.deb"
	expect 'a damaged package' 1 'was damaged' in_twin "$MP_TOP" "$out" tree
	sub_if 'is removed' test ! -e "$out/base/linux-source-7.3_7.3.1-1_all.deb"
}

# ---- interruption ----------------------------------------------------------------------------

# The whole way from no base to the series, interrupted in each phase, and then not. The base is
# a package of the touched files alone, and a stub stops each phase where it is to be interrupted.
patches_interrupted() {
	local out=$MP_TMP/out bin=$MP_TMP/bin tool
	mkdir -p "$out/base" "$bin"
	small_package "$MP_TMP/small.deb"
	slow_tool >"$bin/slow"
	chmod +x "$bin/slow"
	for tool in apt-get apt-cache tar git; do ln -s slow "$bin/$tool"; done
	interrupt downloading 'apt-get *download*'
	sub_if 'no half package is left' test -z "$(find "$out/base" -maxdepth 1 -name '*.deb')"
	cp "$MP_TMP/small.deb" "$out/base/linux-source-7.3_7.3.0-1_all.deb"
	interrupt unpacking 'tar x -f *'
	interrupt importing 'git * add -A *'
	interrupt 'checking out' 'git * checkout * series *'
	sub_if 'the next run succeeds' in_twin "$MP_TOP" "$out" tree
	mapfile -t files < <(tree_git diff --name-only "$MP_BASE" series)
	sub_if 'and gives the series' git_plain --git-dir="$out/tree/.git" \
		--work-tree="$MP_OUT/tree" diff --quiet series -- "${files[@]}"
	sub_if 'with a clean tree' test -z "$(base_dirty "$out/tree")"
}

# small_package FILE: a linux-source package with the files that the series touches, and Debian's
# .gitignore, which ignores everything.
small_package() {
	local dir=$MP_TMP/package
	mkdir -p "$dir/DEBIAN" "$dir/usr/src"
	plain "$MP_TMP/linux-source-7.3"
	printf '%s\n' '*.o' '' '#' '# Debian packaging: ignore everything' '#' '/*' '!/debian/' \
		>"$MP_TMP/linux-source-7.3/.gitignore"
	tar cJf "$dir/usr/src/linux-source-7.3.tar.xz" -C "$MP_TMP" linux-source-7.3
	printf '%s\n' 'Package: linux-source-7.3' 'Version: 7.3.0-1' 'Architecture: all' \
		'Maintainer: Nobody <nobody@example.com>' 'Description: a few files' \
		>"$dir/DEBIAN/control"
	dpkg-deb --build --root-owner-group "$dir" "$1"
}

# slow_tool: a stub for any tool. It makes the file $SLOW_FLAG and sleeps when what it is called
# with matches $SLOW_AT; apt is no more than that.
slow_tool() {
	cat <<'EOF'
#!/bin/sh
tool=${0##*/}
case $tool-$* in
apt-cache-*) echo linux-source-7.3 ;;
apt-get-*download*) echo half >linux-source-7.3_7.3.0-1_all.deb ;;
esac
case "$tool $*" in
$SLOW_AT)
	: >"$SLOW_FLAG"
	sleep 60
	;;
esac
case $tool in
apt-*) ;;
*) exec "/usr/bin/$tool" "$@" ;;
esac
EOF
}

# interrupt PHASE PATTERN: runs scripts/tree, and interrupts it when a tool is called like that.
interrupt() {
	local pid rc=0 i flag=$MP_TMP/flag
	rm -f "$flag"
	set -m
	PATH=$bin:$PATH SLOW_AT=$2 SLOW_FLAG=$flag in_twin "$MP_TOP" "$out" tree \
		>"$MP_TMP/interrupt.log" 2>&1 &
	pid=$!
	set +m
	for ((i = 0; i < 600; i++)); do
		[ ! -e "$flag" ] || break
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -INT -- "-$pid" 2>/dev/null || true
	wait "$pid" || rc=$?
	cat "$MP_TMP/interrupt.log"
	if [ ! -e "$flag" ]; then
		sub fail "interrupted while $1" 'it did not come that far'
	elif [ "$rc" != 130 ]; then
		sub fail "interrupted while $1" "exit status $rc and not 130"
	elif compgen -G "$out/tmp.*" >/dev/null; then
		sub fail "interrupted while $1" 'temporary files are left'
	else
		sub ok "interrupted while $1"
	fi
}
