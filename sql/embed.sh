#!/bin/sh
# Writes the migrations into Swift, so that the daemon is one file. Run it after adding a migration;
# a test compares the result with the .sql files.
set -eu
cd "$(dirname "$0")"
out=../Sources/omni2-native/Database/EmbeddedMigrations.swift

list() {
    printf '    static let %s = [\n' "$1"
    for file in "$1"/[0-9]*.sql; do
        base=$(basename "$file" .sql)
        printf '        SQLMigration(\n'
        printf '            version: %d, name: "%s",\n' "$(expr "${base%%_*}" + 0)" "${base#*_}"
        printf '            text: #"""\n'
        sed 's/^\(.\)/                \1/' "$file"
        printf '                """#),\n'
    done
    printf '    ]\n'
}

{
    printf 'import OmniIO\n\n'
    printf '/// The files of `sql/`, written here by `sql/embed.sh`: edit those, never this.\n'
    printf 'enum EmbeddedMigrations {\n'
    list postgresql
    printf '\n'
    list sqlite
    printf '}\n'
} > "$out"
