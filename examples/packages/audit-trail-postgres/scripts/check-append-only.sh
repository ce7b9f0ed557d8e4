#!/bin/sh
# Applies the migration to a scratch database and tries to change what it stored.
set -eu
database=${AUDIT_TEST_DATABASE:?set it to the name of a database that may be thrown away}
psql -q -v ON_ERROR_STOP=1 "$database" -f migrations/0001_audit_event.sql
psql -q "$database" -c "INSERT INTO audit_event (actor, action, subject) VALUES ('check', 'insert', 'row')"
psql -q "$database" -c "UPDATE audit_event SET actor = 'somebody else'"
psql -q "$database" -c "DELETE FROM audit_event"
kept=$(psql -At "$database" -c "SELECT count(*) FROM audit_event WHERE actor = 'check'")
[ "$kept" = 1 ] && echo "append-only: ok" || { echo "append-only: the row was changed" >&2; exit 1; }
