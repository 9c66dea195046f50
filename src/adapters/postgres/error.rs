//! The meaning of an error of the driver or of the server for the caller. The message of the server is kept
//! and its details are not: they may quote a row.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use crate::model::error::{Cause, chain};

/// How a statement failed. A variant is what to do about it.
#[derive(Debug)]
pub(super) enum StatementError {
    /// Try again after a pause.
    Transient(Cause),
    /// It took longer than its limit. Try again after a pause, with less to do if that is possible.
    Slow(Cause),
    /// A condition in the statement did not hold, and nothing was written.
    Condition,
    /// The statement can never succeed.
    Invalid(Cause),
    /// No statement succeeds until a person has changed something.
    Refused(Cause),
}

/// Division by zero: how a statement undoes itself.
const CONDITION: &str = "22012";

/// The server is no longer the one that takes writes.
const READ_ONLY: &str = "25006";

/// Whether the connection can be used again after this error.
pub(super) fn leaves_connection_usable(error: &Error) -> bool {
    let Some(answer) = error.as_db_error() else { return false };
    answer.parsed_severity() == Some(Severity::Error) && answer.code().code() != READ_ONLY
}

/// Whether the server did not accept the credentials.
pub(super) fn is_login_refused(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("28"))
}

/// Classifies the error of a statement, or of an attempt to connect.
pub(super) fn statement_error(error: &Error) -> StatementError {
    match error.as_db_error() {
        Some(answer) => answer_error(answer),
        None => driver_error(error),
    }
}

fn answer_error(answer: &DbError) -> StatementError {
    let code = answer.code().code();
    let cause = Cause::new(code.to_owned(), answer.message());
    match code {
        CONDITION => StatementError::Condition,
        // Another process has written the same key, is in a deadlock with this one, or holds a lock.
        "23505" | "40001" | "40P01" | "55P03" => StatementError::Transient(cause),
        // The limit of the statement, or a person who cancels it.
        "57014" => StatementError::Slow(cause),
        // The server restarts, fails over or is full.
        "57P01" | "57P02" | "57P03" | "57P05" | READ_ONLY => StatementError::Transient(cause),
        "42P01" | "3F000" | "42883" | "42703" => StatementError::Refused(Cause::new(
            code.to_owned(),
            format!("{}: run `stentor migrate`", answer.message()),
        )),
        "42501" => StatementError::Refused(Cause::new(
            code.to_owned(),
            format!(
                "{}: use another role, or let `stentor migrate` give this one its rights, with --function-role or, if it only reads, --reader-role",
                answer.message()
            ),
        )),
        _ => match &code[..2.min(code.len())] {
            "08" | "53" | "58" | "XX" => StatementError::Transient(cause),
            "22" | "54" | "23" => StatementError::Invalid(cause),
            _ => StatementError::Refused(cause),
        },
    }
}

/// Whether the connection itself has failed, and not what was agreed on it.
fn is_lost(error: &Error) -> bool {
    use std::io::ErrorKind;
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let is_io = |source: &std::io::Error| {
        let is_tls = source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        !is_tls && !matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput)
    };
    source.is_some_and(is_io)
}

/// The remedy for a certificate that is not accepted.
fn tls_remedy(error: &Error) -> &'static str {
    use rustls::CertificateError as Bad;
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let inner = source.and_then(std::io::Error::get_ref);
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(bad)) => match bad {
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                ": name the host as its certificate does"
            }
            Bad::UnknownIssuer | Bad::BadSignature => {
                ": name the certificates of its authority with sslrootcert or DATABASE_ROOT_CERTIFICATES"
            }
            _ => "",
        },
        _ => "",
    }
}

/// The driver has its own error for a value that it cannot write or read. All else is the connection.
fn driver_error(error: &Error) -> StatementError {
    let text = error.to_string();
    if text.starts_with("error serializing") || text.starts_with("error encoding") {
        return StatementError::Invalid(Cause::new("not-encodable", chain(error)));
    }
    if text.starts_with("error deserializing") || text.starts_with("invalid column") {
        return StatementError::Refused(Cause::new("unexpected-row", chain(error)));
    }
    if text.starts_with("invalid configuration") && chain(error).contains("password missing") {
        let message = "the server wants a password: set PGPASSWORD, or write one into the URL";
        return StatementError::Refused(Cause::new("no-password", message));
    }
    // A server that goes away during the handshake is unreachable, as at any other time.
    if text.starts_with("error performing TLS") && !is_lost(error) {
        let why = error.source().map(ToString::to_string).unwrap_or_default();
        let message = format!("no verified TLS connection: {why}{}", tls_remedy(error));
        return StatementError::Refused(Cause::new("no-tls", message));
    }
    StatementError::Transient(Cause::new("unreachable", chain(error)))
}
