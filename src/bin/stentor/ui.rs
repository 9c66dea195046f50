//! The output of the commands. Results go to standard output; errors, warnings and hints go to
//! standard error. Text that comes from outside is made safe for a terminal here, so no command has
//! to think of it.

use std::fmt::{Display, Write as _};
use std::io::{IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use stentor::config::{ConfigError, Diagnostic};
use stentor::model::humanize::{count, thousands};
use stentor::model::name::RouteName;
use stentor::model::time::Timestamp;
use stentor::model::visible;
use stentor::protocol::consume::Counts;
use thiserror::Error;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// Columns of a label and of a table's indent.
const LABEL_WIDTH: usize = 12;
const INDENT: usize = 2;

/// How much a command says beyond its result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ui {
    quiet: bool,
}

impl Ui {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Whether progress is shown.
    pub(crate) fn shows_progress(self) -> bool {
        !self.quiet
    }

    pub(crate) fn hint(self, text: impl Display) {
        if !self.quiet {
            anstream::eprintln!("{HINT}hint:{HINT:#} {}", safe(text));
        }
    }

    /// A line that is neither a warning nor a hint.
    pub(crate) fn note(self, text: impl Display) {
        if !self.quiet {
            anstream::eprintln!("{}", safe(text));
        }
    }

    /// A warning about a place in a file, as `file:line:column: warning: text`.
    pub(crate) fn warn_at(self, file: &str, diagnostic: &Diagnostic) {
        if !self.quiet {
            let Diagnostic { line, column, message } = diagnostic;
            let place = safe(format_args!("{file}:{line}:{column}:"));
            anstream::eprintln!("{place} {WARNING}warning:{WARNING:#} {}", safe(message));
        }
    }
}

/// An error, and what the operator can do about it.
#[derive(Debug)]
pub(crate) struct Hinted {
    error: anyhow::Error,
    hint: String,
}

impl Display for Hinted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Adds a hint, which [`print_error`] shows below the error and its causes.
pub(crate) fn hinted(error: anyhow::Error, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted { error, hint: hint.into() })
}

/// `error:`, a `Caused by:` line for each cause, and the hint. The diagnostics of a configuration
/// come first, one a line as `file:line:column: message`, so that an editor can jump to them.
pub(crate) fn print_error(error: &anyhow::Error) {
    let label = |text: &str| format!("{ERROR}error:{ERROR:#} {}", safe(text));
    if let Some(config) = error.downcast_ref::<ConfigError>() {
        let errors = count(config.diagnostics.len() as u64, "error", "errors");
        anstream::eprintln!(
            "{}\n{}",
            safe(config),
            label(&format!("{} has {errors}", config.file))
        );
        return;
    }
    anstream::eprintln!("{}", label(&error.to_string()));
    for cause in error.chain().skip(1) {
        anstream::eprintln!("  Caused by: {}", safe(cause));
    }
    if let Some(Hinted { hint, .. }) = error.downcast_ref() {
        anstream::eprintln!("{HINT}hint:{HINT:#} {}", safe(hint));
    }
}

/// An error of clap, which begins with `error:`.
pub(crate) fn print_usage_error(text: &str) {
    let text = text.strip_prefix("error:").unwrap_or(text);
    anstream::eprint!("{ERROR}error:{ERROR:#}{}", safe(text));
}

fn safe(text: impl Display) -> String {
    visible::text(&text.to_string())
}

/// Whether standard output shows colors: by `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`, and whether
/// it is a terminal.
pub(crate) fn stdout_has_color() -> bool {
    AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}

/// The same for standard error.
pub(crate) fn stderr_has_color() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// The width of the terminal that standard output is, if it is one.
pub(crate) fn stdout_width() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1))
}

/// The reader of standard output has read all that it wants, as `head` does.
#[derive(Debug, Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// Prints a result. Nothing is wrong if its reader does not want it.
///
/// # Errors
/// When standard output does not take it.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match written(out.write_all(text.as_bytes()).and_then(|()| out.flush())) {
        Err(error) if error.is::<OutputClosed>() => Ok(()),
        result => result,
    }
}

/// # Errors
/// With [`OutputClosed`] when the reader has closed the pipe, or when standard output does not take
/// the text.
pub(crate) fn written(result: std::io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        result => result.context("cannot write to standard output"),
    }
}

/// Prints a result as JSON.
///
/// # Errors
/// When standard output does not take it.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&json(value))
}

/// A value as JSON that is safe for a terminal, with a line break at its end.
pub(crate) fn json(value: &impl Serialize) -> String {
    let document =
        serde_json::to_string_pretty(value).expect("invariant: plain data always serializes");
    format!("{}\n", visible::json(&document))
}

/// A value as JSON on one line, without the line break.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    visible::json(&serde_json::to_string(value).expect("invariant: plain data always serializes"))
}

/// A report in lines. Every method makes its text safe to show.
#[derive(Debug)]
pub(crate) struct TextReport {
    text: String,
    has_color: bool,
}

impl TextReport {
    /// For standard output.
    pub(crate) fn new() -> Self {
        Self { text: String::new(), has_color: stdout_has_color() }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// `  records     12: 12 processed`
    pub(crate) fn entry(&mut self, label: &str, value: impl Display) {
        self.put(format_args!("{:INDENT$}{label:<LABEL_WIDTH$}{}\n", "", line(value)));
    }

    /// Every part, and those of `if_any` that are not zero:
    /// `  log events  300: 120 unmatched · 180 kept`
    pub(crate) fn counts(
        &mut self,
        label: &str,
        total: u64,
        parts: &[(u64, &str)],
        if_any: &[(u64, &str)],
    ) {
        let if_any = if_any.iter().filter(|(count, _)| *count > 0);
        let parts =
            parts.iter().chain(if_any).map(|(count, what)| format!("{} {what}", thousands(*count)));
        self.entry(
            label,
            format_args!("{}: {}", thousands(total), parts.collect::<Vec<_>>().join(" · ")),
        );
    }

    /// A line at a depth of two columns each.
    pub(crate) fn line(&mut self, depth: usize, text: impl Display) {
        self.put(format_args!("{:1$}{2}\n", "", depth * INDENT, line(text)));
    }

    /// `✓ text` or `✗ text`
    pub(crate) fn check(&mut self, is_good: bool, text: impl Display) {
        let (mark, style) = if is_good { ("✓", GOOD) } else { ("✗", BAD) };
        let style = if self.has_color { style } else { Style::new() };
        self.put(format_args!("{style}{mark}{style:#} {}\n", line(text)));
    }

    /// An empty line and a heading.
    pub(crate) fn heading(&mut self, heading: impl Display) {
        self.blank_line();
        self.line(1, heading);
    }

    pub(crate) fn blank_line(&mut self) {
        self.put(format_args!("\n"));
    }

    /// `  log events  300: 120 unmatched · 0 duplicates · 180 kept`
    pub(crate) fn log_events(&mut self, counts: &Counts) {
        let parts = [
            (counts.unmatched, "unmatched"),
            (counts.duplicates, "duplicates"),
            (counts.kept, "kept"),
        ];
        self.counts("log events", counts.events, &parts, &[(counts.retried, "not stored")]);
    }

    /// A heading and one item per line; nothing without items.
    pub(crate) fn list(&mut self, heading: &str, items: impl IntoIterator<Item = String>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.heading(heading);
            items.for_each(|item| self.line(2, item));
        }
    }

    /// A heading, and for each item a line with its id and one with the reason; nothing without
    /// items.
    pub(crate) fn explained_list(
        &mut self,
        heading: &str,
        items: impl IntoIterator<Item = (impl Display, String)>,
    ) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return;
        }
        self.heading(heading);
        for (id, reason) in items {
            self.line(2, id);
            self.line(3, reason);
        }
    }

    /// The routes whose alerts are not delivered for now.
    pub(crate) fn muted(&mut self, routes: &[(RouteName, Timestamp)]) {
        let item =
            |(route, until): &(RouteName, Timestamp)| format!("{route} until {}", until.iso());
        self.list(
            "muted: alerts are stored and counted, but not delivered",
            routes.iter().map(item),
        );
    }

    /// Columns as wide as their longest cell. Those in `numbers` are aligned to the right.
    pub(crate) fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        numbers: &[usize],
        rows: impl IntoIterator<Item = [String; N]>,
    ) {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(header);
        table.add_rows(rows.into_iter().map(|row| row.map(line)));
        for number in numbers {
            table
                .column_mut(*number)
                .expect("invariant: the header has every column")
                .set_cell_alignment(CellAlignment::Right);
        }
        for row in table.trim_fmt().lines() {
            self.put(format_args!(" {row}\n"));
        }
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).expect("invariant: writing to a String cannot fail");
    }
}

/// `12.3 %`; never 0 for a part that is there.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let whole = u128::from(whole.max(1));
    let tenths = (u128::from(part) * 1_000 + whole / 2) / whole;
    if tenths == 0 { "< 0.1 %".to_owned() } else { format!("{}.{} %", tenths / 10, tenths % 10) }
}

fn line(text: impl Display) -> String {
    visible::line(&text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> TextReport {
        TextReport { text: String::new(), has_color: false }
    }

    #[test]
    fn a_report_aligns_its_lines_and_shows_no_control_character() {
        let mut report = plain();
        report.entry("took", "59 ms\u{1b}[31m");
        report.counts("records", 1_200, &[(1_198, "processed")], &[(2, "parked"), (0, "to retry")]);
        report.check(true, "table\u{202e} AppLogs");
        report.list("nothing", []);
        report.list("parked", ["a\nb".to_owned()]);
        report.table(
            ["reason", "letters"],
            &[1],
            [["not-gzip", "5"], ["x\u{1b}", "1,204"]].map(|row| row.map(str::to_owned)),
        );
        assert_eq!(
            report.into_text(),
            "  took        59 ms\n  \
               records     1,200: 1,198 processed · 2 parked\n\
             ✓ table[U+202E] AppLogs\n\
             \n  parked\n    a b\n  \
               reason     letters\n  \
               not-gzip         5\n  \
               x[U+001B]    1,204\n"
        );
    }

    #[test]
    fn a_mark_has_a_color_where_the_output_shows_colors() {
        let mut report = TextReport { text: String::new(), has_color: true };
        report.check(false, "x");
        assert_eq!(report.into_text(), "\u{1b}[31m✗\u{1b}[0m x\n");
    }

    #[test]
    fn a_hint_keeps_the_error_and_its_causes() {
        let error =
            hinted(anyhow::anyhow!("full").context("cannot write"), "make room").context("run");
        assert_eq!(format!("{error:#}"), "run: cannot write: full");
        assert_eq!(
            error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.as_str()),
            Some("make room")
        );
    }
}
