# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The git trees in out/: tree (the base and one commit a patch, on branch `series`), proof (the
# base and the patches marked test-only) and pristine (the base alone), the last two as work
# trees of the first.
#
# Commits are made from the patches without a work tree, as `git am` would make them, and then
# checked out in one step: a patch that does not apply leaves everything as it was, and a file
# that is the same before and after keeps its time stamp, so that builds stay incremental.
# Nothing of the user's own git configuration matters here.

. "$MP_TOP/scripts/lib/series.sh"
. "$MP_TOP/scripts/lib/base.sh"

# Patches are stored without a person; scripts/submit puts the submitter in.
MP_IDENT_NAME='Patch Series'
MP_IDENT_MAIL=series@localhost
MP_BASE_DATE='2026-01-01T00:00:00+0000'

# git_plain ARG...: git with no configuration but the repository's own.
git_plain() {
	env -u GIT_DIR -u GIT_WORK_TREE -u GIT_OBJECT_DIRECTORY \
		GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_ATTR_NOSYSTEM=1 \
		git -c safe.directory='*' -c core.hooksPath=/dev/null -c gc.auto=0 \
		-c core.attributesFile="$MP_TOP/scripts/lib/gitattributes" \
		-c maintenance.auto=false -c advice.detachedHead=false "$@"
}

tree_git() { git_plain -C "$MP_OUT/tree" "$@"; }

# tree_init: an empty repository in out/tree, if there is none.
tree_init() {
	need git
	[ ! -e "$MP_OUT/tree/.git/config" ] || return 0
	mkdir -p "$MP_OUT/tree"
	git_plain init -q -b series --template= "$MP_OUT/tree"
	tree_git config core.untrackedCache true
	mkdir -p "$MP_OUT/tree/.git/info"
}

# ---- commits from patches --------------------------------------------------------------------

# tree_commit_as_series DATE TREE [-p PARENT]: a commit by nobody in particular, stdin its message.
tree_commit_as_series() {
	local date=$1
	shift
	GIT_AUTHOR_NAME=$MP_IDENT_NAME GIT_AUTHOR_EMAIL=$MP_IDENT_MAIL GIT_AUTHOR_DATE=$date \
		tree_commit_tree "$date" "$MP_OUT/tree" "$@"
}

# tree_commit_tree DATE REPO ARG...: git commit-tree with the fixed committer.
tree_commit_tree() {
	GIT_COMMITTER_NAME=$MP_IDENT_NAME GIT_COMMITTER_EMAIL=$MP_IDENT_MAIL \
		GIT_COMMITTER_DATE=$1 git_plain -C "$2" commit-tree "${@:3}"
}

# tree_stack REPO PARENT PATCH...: commits for the patches (paths in patches/) on top of PARENT,
# touching neither refs, index nor files of REPO. Sets MP_STACK to the last commit. If a patch
# does not apply, it says which and where, and fails.
tree_stack() {
	local repo=$1 patch
	MP_STACK=$2
	shift 2
	mp_tmpdir
	export GIT_INDEX_FILE=$MP_TMP/stack.index
	git_plain -C "$repo" read-tree "$MP_STACK" || return 1
	for patch in "$@"; do
		if ! tree_stack_one "$repo" "$MP_PATCHES/$patch"; then
			unset GIT_INDEX_FILE
			warn "this patch does not apply: $patch"
			sed 's/^/  | /' "$MP_TMP/stack.err" >&2
			return 1
		fi
	done
	unset GIT_INDEX_FILE
}

tree_stack_one() {
	local repo=$1 tmp=$MP_TMP info tree merged=
	{
		info=$(git_plain -C "$repo" mailinfo -b "$tmp/stack.msg" "$tmp/stack.diff" <"$2") &&
			[ -s "$tmp/stack.diff" ] ||
			{ echo "not a patch as git format-patch writes it"; false; }
	} 2>"$tmp/stack.err" >&2 || return 1
	if ! git_plain -C "$repo" apply --cached --whitespace=nowarn "$tmp/stack.diff" \
		2>"$tmp/stack.err"; then
		git_plain -C "$repo" apply --cached --3way --whitespace=nowarn "$tmp/stack.diff" \
			>/dev/null 2>&1 || return 1
		merged=1
	fi
	[ -z "$merged" ] || step "merged, since its context has changed: ${2#"$MP_PATCHES"/}"
	tree=$(git_plain -C "$repo" write-tree) || return 1
	MP_STACK=$(
		GIT_AUTHOR_NAME=$(mail_field Author "$info")
		GIT_AUTHOR_EMAIL=$(mail_field Email "$info")
		GIT_AUTHOR_DATE=$(mail_field Date "$info")
		export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE
		{ mail_field Subject "$info"; echo; cat "$tmp/stack.msg"; } |
			git_plain stripspace |
			tree_commit_tree "$GIT_AUTHOR_DATE" "$repo" "$tree" -p "$MP_STACK"
	)
}

# mail_field NAME INFO: a field of what git mailinfo prints.
mail_field() { sed -n "s/^$1: //p" <<<"$2"; }

# ---- out/tree --------------------------------------------------------------------------------

# What the branch was made from is kept in the repository, beside the commit that came of it.
tree_key() {
	{
		printf '%s\n' "$MP_BASE"
		cat "$MP_SERIES" 2>/dev/null || true
		series_patches | sed "s|^|$MP_PATCHES/|" | xargs -r -d '\n' cat --
	} | sha256sum | cut -d' ' -f1
}

# tree_made: sets MP_MADE_KEY and MP_MADE, the key and commit of the last time.
tree_made() {
	MP_MADE_KEY='' MP_MADE=''
	[ ! -e "$MP_OUT/tree/.git/made" ] || read -r MP_MADE_KEY MP_MADE <"$MP_OUT/tree/.git/made"
}

tree_set_made() { printf '%s %s\n' "$1" "$2" | put_file "$MP_OUT/tree/.git/made"; }

# tree_series: where the branch is; nothing if there is none yet.
tree_series() { tree_git rev-parse -q --verify refs/heads/series || true; }

# tree_make [force]: brings out/tree to the base and the series.
tree_make() {
	local key patches
	series_check
	base_get
	key=$(tree_key)
	tree_made
	[ "${1:-}" = force ] || tree_check_own
	if [ "$key" != "$MP_MADE_KEY" ] || [ "$(tree_series)" != "$MP_MADE" ]; then
		need_space "$MP_OUT" 3000
		mapfile -t patches < <(series_patches)
		step "making the series: ${#patches[@]} patches"
		tree_stack "$MP_OUT/tree" "$MP_BASE" "${patches[@]}" ||
			die "the series does not apply to this base; $MP_OUT/tree is as it was"
		tree_move "$MP_STACK" "${1:-}"
		tree_git tag -f base "$MP_BASE" >/dev/null
		tree_set_made "$key" "$MP_STACK"
	elif [ "${1:-}" = force ]; then
		tree_move "$MP_MADE" force
	fi
}

# tree_move COMMIT [force]: branch series and the work tree go there, in one step.
tree_move() {
	local flags=()
	[ "${2:-}" != force ] || flags=(-f)
	rm -f "$MP_OUT/tree/.git/index.lock"
	# Until a first checkout has ended there is nothing to be careful of.
	[ -n "$MP_MADE" ] || flags=(-f)
	log_run checkout tree_git checkout -q --no-track "${flags[@]}" -B series "$1" ||
		die "cannot check out the series in $MP_OUT/tree"
}

# tree_check_own: ends the command if out/tree holds work that is not in patches/.
tree_check_own() {
	local here dirty
	[ -n "$MP_MADE" ] || return 0
	dirty=$(base_dirty "$MP_OUT/tree")
	[ -z "$dirty" ] || die "$MP_OUT/tree has changes that are in no commit:
$dirty
Commit them and run scripts/refresh, or throw them away: scripts/tree --force" 2
	here=$(tree_git symbolic-ref -q --short HEAD || true)
	[ "$here" = series ] || [ "$(tree_git rev-parse HEAD)" = "$MP_MADE" ] ||
		die "$MP_OUT/tree is on ${here:-no branch}, and not on series: check that out there,
or throw away what is there: scripts/tree --force" 2
	[ "$(tree_series)" = "$MP_MADE" ] ||
		die "$MP_OUT/tree has commits that are not in patches/:
$(tree_git log --oneline "$MP_MADE..series" | head -n 5)
Run scripts/refresh to keep them, or throw them away: scripts/tree --force" 2
}

# need_checkpatch: what the kernel's checkpatch.pl and get_maintainer.pl run.
need_checkpatch() {
	need perl python3 python3-ply:/usr/lib/python3/dist-packages/ply/lex.py \
		python3-git:/usr/lib/python3/dist-packages/git/__init__.py
}

# tree_checkpatch FILE [OPTION]...: out/tree's checkpatch. The commits that a message names cannot
# be looked up, since the tree has no history. Its helpers want Debian's python. It asks of each new
# file whether MAINTAINERS should name it: not if that does already. It warns of simple_strtoul():
# not where that is only moved.
tree_checkpatch() {
	local file=$1 ignore=UNKNOWN_COMMIT_ID
	shift
	! tree_maintained "$file" || ignore+=,FILE_PATH_CHANGES
	! tree_moves_strto "$file" || ignore+=,CONSIDER_KSTRTO
	(cd "$MP_OUT/tree" && PATH=/usr/bin:$PATH perl scripts/checkpatch.pl --strict --no-summary \
		--quiet --show-types --ignore "$ignore" "$@" "$file")
}

# tree_maintained PATCH: every file that it adds lies in a section of MAINTAINERS.
tree_maintained() {
	local added
	mapfile -t added < <(git apply --summary "$1" | sed -n 's/^ create mode [0-7]* //p')
	for added in "${added[@]}"; do
		(cd "$MP_OUT/tree" && PATH=/usr/bin:$PATH perl scripts/get_maintainer.pl \
			--sections --no-git --no-git-fallback -f "$added" 2>/dev/null) |
			grep -vE '^([A-Z]:)?[[:space:]]|^$|^THE REST$' | grep -q '^[A-Z]' || return
	done
}

# tree_moves_strto PATCH: every line with a simple_strto*() that it adds it also removes.
tree_moves_strto() {
	local added
	added=$(sed -n 's/^+\(.*simple_strto\)/\1/p' "$1" | sort)
	[ -n "$added" ] && [ "$added" = "$(sed -n 's/^-\(.*simple_strto\)/\1/p' "$1" | sort)" ]
}

# tree_b4_am MBOX DIR: b4's own files stay in DIR too; nothing is asked of the network.
tree_b4_am() {
	mkdir -p "$2/home" &&
		cd "$MP_OUT/tree" &&
		HOME=$2/home XDG_DATA_HOME=$2/home XDG_CACHE_HOME=$2/home \
			b4 --no-stdin --no-interactive --offline-mode am --no-cache \
			--no-add-trailers --no-cover -m "$1" -o "$2"
}

# ---- the trees to build from -----------------------------------------------------------------

# tree_source KIND: makes a tree, and sets MP_SRC to its directory. KIND is series (out/tree),
# proof (out/proof) or base (out/pristine). Not for use in $(...): it may run for minutes.
tree_source() {
	local tests
	tree_make
	case $1 in
	series) MP_SRC=$MP_OUT/tree ;;
	proof)
		mapfile -t tests < <(series_test_only)
		tree_stack "$MP_OUT/tree" "$MP_BASE" "${tests[@]}" ||
			die "the patches marked test-only do not apply to the base alone"
		tree_worktree proof "$MP_STACK"
		;;
	base) tree_worktree pristine "$MP_BASE" ;;
	*) die "tree_source: no kind '$1'" 2 ;;
	esac
}

# tree_worktree NAME COMMIT: out/NAME, a work tree at COMMIT; what was changed there by hand goes.
# Sets MP_SRC.
tree_worktree() {
	MP_SRC=$MP_OUT/$1
	if [ "$(git_plain -C "$MP_SRC" rev-parse --show-toplevel 2>/dev/null)" != "$MP_SRC" ]; then
		need_space "$MP_OUT" 2500
		step "checking out $MP_SRC"
		rm -rf "$MP_SRC"
		tree_git worktree prune
		log_run "checkout-$1" tree_git worktree add -f --detach "$MP_SRC" "$2" ||
			die "cannot make $MP_SRC"
	fi
	rm -f "$(git_plain -C "$MP_SRC" rev-parse --absolute-git-dir)/index.lock"
	git_plain -C "$MP_SRC" checkout -q -f --detach "$2"
}
