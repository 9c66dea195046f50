//! The schema of the database: migrations that are a part of this program, each applied once, in order and
//! in a transaction of its own. Only `stentor migrate` applies them. The functions only check that the
//! database has them.
//!
//! A version of the program works with its own version of the schema, and with later ones that say so
//! (`compatible_from`): functions of the version before go on while an update is under way.

use std::time::Duration;

use tokio_postgres::Client;

use super::PostgresStore;
use super::error::{StatementError, statement_error};
use crate::model::error::Cause;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// A step of the schema.
struct Migration {
    version: i32,
    /// The oldest version of the program, by its schema, that works with this one.
    compatible_from: i32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 1] = [Migration {
    version: 1,
    compatible_from: 1,
    name: "initial",
    sql: include_str!("migrations/0001-initial.sql"),
}];

/// How long it may take to log in. A migration may take longer.
const CONNECTED_WITHIN: Duration = Duration::from_secs(15);

/// The version of this program.
pub const VERSION: i32 = 1;

/// The version of the schema, and the oldest program that works with it. The last statement of a batch.
pub(super) const VERSION_QUERY: &str =
    "SELECT version, compatible_from FROM stentor.schema_version ORDER BY version DESC LIMIT 1";

/// Serializes migrations; any number.
const LOCK: i64 = 5_724_880_017;

/// How long a migration waits for a lock. Statements that come after it wait as long.
const LOCK_MAX: Duration = Duration::from_secs(5);

/// The result of a migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Version and name of each migration that was applied.
    pub applied: Vec<(i32, &'static str)>,
    /// The version before, if there was one.
    pub before: Option<i32>,
}

/// The roles that get rights, and nothing else than they need.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// That of the functions, and of `stentor run`.
    pub function: Option<String>,
    /// That of people who read alerts, and may not change anything.
    pub reader: Option<String>,
}

/// The rights of the functions. The rest is done by `stentor.maintain`, which runs as its owner.
const FUNCTION_RIGHTS: [&str; 6] = [
    "USAGE ON SCHEMA stentor",
    "SELECT ON stentor.schema_version, stentor.installation",
    "SELECT, INSERT ON stentor.alert_ids, stentor.alerts, stentor.routes, stentor.marks",
    "SELECT, INSERT, DELETE ON stentor.tallies",
    "SELECT, INSERT, UPDATE ON stentor.cursors, stentor.epochs, stentor.targets, stentor.channels, stentor.lag, \
     stentor.patterns",
    "EXECUTE ON FUNCTION stentor.maintain",
];

const READER_RIGHTS: [&str; 2] =
    ["USAGE ON SCHEMA stentor", "SELECT ON ALL TABLES IN SCHEMA stentor"];

/// Checks the answer of [`VERSION_QUERY`].
pub(super) fn check_version(found: Option<(i32, i32)>) -> Result<(), Cause> {
    let message = match found {
        Some((version, compatible_from)) if version >= VERSION && compatible_from <= VERSION => {
            return Ok(());
        }
        Some((version, _)) if version < VERSION => format!(
            "the schema of the database has version {version}, and this program needs {VERSION}: run `stentor migrate`"
        ),
        Some((version, _)) => format!(
            "the schema of the database has version {version}, which is too new for this program: update it"
        ),
        None => "the database has no schema of stentor: run `stentor migrate`".to_owned(),
    };
    Err(Cause::new("schema-version", message))
}

impl<C: Clock> PostgresStore<C> {
    /// Applies the migrations that the database does not have, makes the partitions of the next days, and
    /// grants the rights. May be repeated, and run by several at once.
    ///
    /// # Errors
    /// When the database is unreachable or refuses.
    pub async fn migrate(&self, roles: &Roles, deadline: Deadline) -> Result<Migrated, StoreError> {
        let soon = Deadline::after(self.clock.now(), CONNECTED_WITHIN).min(deadline);
        let connect = self.pool.connect(&self.clock, soon, false);
        let connection = self.clock.timeout(soon, connect).await;
        let connection = connection.ok_or_else(no_answer)?.map_err(store_error)?;
        let migrated = apply(connection.client(), roles);
        self.clock.timeout(deadline, migrated).await.ok_or_else(no_answer)?.map_err(store_error)
    }
}

fn no_answer() -> StoreError {
    StoreError::Unavailable(Cause::no_answer())
}

fn store_error(error: StatementError) -> StoreError {
    match error {
        StatementError::Transient(cause) | StatementError::Slow(cause) => {
            StoreError::Unavailable(cause)
        }
        StatementError::Invalid(cause) | StatementError::Refused(cause) => {
            StoreError::Refused(cause)
        }
        StatementError::Condition => {
            StoreError::Refused(Cause::new("migration-failed", "a migration divides by zero"))
        }
    }
}

async fn apply(client: &Client, roles: &Roles) -> Result<Migrated, StatementError> {
    let execute =
        async |sql: &str| client.batch_execute(sql).await.map_err(|error| statement_error(&error));
    check_encoding(client).await?;
    // The lock ends with the connection.
    execute(&format!(
        "SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK}); SET lock_timeout = {}; \
         SET client_min_messages = warning; \
         CREATE SCHEMA IF NOT EXISTS stentor; \
         CREATE TABLE IF NOT EXISTS stentor.schema_version ( \
             version integer PRIMARY KEY, compatible_from integer NOT NULL, name text NOT NULL, \
             applied_at timestamptz NOT NULL DEFAULT now())",
        LOCK_MAX.as_millis()
    ))
    .await?;
    let before = version(client).await?;
    if let Some((version, compatible_from)) = before
        && version > VERSION
    {
        check_version(Some((version, compatible_from))).map_err(StatementError::Refused)?;
    }
    let mut migrated =
        Migrated { before: before.map(|(version, _)| version), ..Migrated::default() };
    let missing = |one: &&Migration| migrated.before.is_none_or(|before| one.version > before);
    for migration in MIGRATIONS.iter().filter(missing).collect::<Vec<_>>() {
        let Migration { version, compatible_from, name, sql } = migration;
        execute(&format!(
            "BEGIN; {sql} INSERT INTO stentor.schema_version (version, compatible_from, name) \
             VALUES ({version}, {compatible_from}, '{name}'); COMMIT"
        ))
        .await?;
        migrated.applied.push((*version, name));
    }
    execute("SELECT stentor.maintain(NULL)").await?;
    for (role, rights) in
        [(&roles.function, &FUNCTION_RIGHTS[..]), (&roles.reader, &READER_RIGHTS[..])]
    {
        let Some(role) = role else { continue };
        let grants: Vec<String> =
            rights.iter().map(|right| format!("GRANT {right} TO {}", quoted(role))).collect();
        execute(&grants.join("; ")).await?;
    }
    Ok(migrated)
}

/// Log lines have every character.
async fn check_encoding(client: &Client) -> Result<(), StatementError> {
    let row = client.query_typed("SHOW server_encoding", &[]).await;
    let row = row.map_err(|error| statement_error(&error))?;
    let encoding: &str = row.first().map_or("", |row| row.get(0));
    match encoding {
        "UTF8" => Ok(()),
        other => Err(StatementError::Refused(Cause::new(
            "database-encoding",
            format!("the database has the encoding {other}: create one with UTF8"),
        ))),
    }
}

async fn version(client: &Client) -> Result<Option<(i32, i32)>, StatementError> {
    let rows = client.query_typed(VERSION_QUERY, &[]).await;
    let rows = rows.map_err(|error| statement_error(&error))?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}

/// A name in SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (number, migration) in (1..).zip(&MIGRATIONS) {
            assert_eq!(migration.version, number);
            assert!(migration.compatible_from <= number, "{}", migration.name);
        }
        assert_eq!(MIGRATIONS.last().map(|migration| migration.version), Some(VERSION));
    }

    #[test]
    fn a_schema_of_another_version_says_what_to_do() {
        assert_eq!(check_version(Some((VERSION, 1))), Ok(()));
        assert_eq!(check_version(Some((VERSION + 1, VERSION))), Ok(()), "an update is under way");
        let cases = [
            (Some((VERSION - 1, 0)), "run `stentor migrate`"),
            (Some((VERSION + 2, VERSION + 1)), "update it"),
            (None, "run `stentor migrate`"),
        ];
        for (found, expected) in cases {
            let error = check_version(found).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
    }

    #[test]
    fn the_name_of_a_role_is_quoted() {
        assert_eq!(quoted(r#"a"; DROP"#), r#""a""; DROP""#);
    }
}
