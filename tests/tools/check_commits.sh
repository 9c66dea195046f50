#!/usr/bin/env bash
# Each commit subject after BASE reads `area: verb …`: an imperative from the list, at most 60 characters.
# A shallow clone may not have BASE. Then every commit that it does have is newer, and the last 20 are checked.
set -euo pipefail
cd "$(dirname "$0")/../.."

# A source archive has no commits.
[ -e .git ] || exit 0

base=cbef28e207b17d2dd46d4705cca606ba47228d05
verbs='add|allow|avoid|bound|build|bump|cap|change|check|close|compose|compress|count|cut|delete|deny|describe|document|drop|ensure|expose'
verbs+='|declare|extract|fail|find|fix|follow|format|freeze|generate|give|group|handle|hide|implement|inline|introduce|join|keep|let|limit|make|match|measure'
verbs+='|list|mask|mend|merge|move|name|park|parse|pass|pin|prefer|print|prove|raise|read|record|reduce|refuse|remove|rename|replace'
verbs+='|report|require|restore|return|reuse|reword|rewrap|rewrite|run|say|send|serve|set|share|show|simplify|skip|sort|speed|split|state'
verbs+='|stop|store|strip|support|take|teach|test|tidy|trace|try|turn|unify|update|use|validate|verify|wait|warn|wrap|write'

commits="$base..HEAD"
git rev-parse --quiet --verify "$base^{commit}" >/dev/null || commits=-20
faults=$(git log --no-merges --format='%h %s' "$commits" |
    awk -v form="^[0-9a-z_./, -]+: ($verbs)( |$)" '{ subject = substr($0, length($1) + 2)
        if (subject !~ form || length(subject) > 60) print "commit " $0 }')
[ -z "$faults" ] && exit
printf '%s\n' "$faults" 'write a subject as `area: verb …`, with at most 60 characters: see CONTRIBUTING.md' >&2
exit 1
