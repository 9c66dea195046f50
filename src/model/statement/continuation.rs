//! Log events that continue the text of the one before them: a stack trace whose lines arrive as
//! one log event each.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr2, memrchr2};
use serde::Deserialize;

use super::lead::lead_bytes;

/// The beginnings of lines of a stack trace, after their indentation.
const FRAMES: &[&str] = &[
    "at ",
    "File \"",
    "Caused by",
    "Suppressed:",
    "... ",
    "#",
    "from ",
    "End of inner exception stack trace",
    "End of stack trace from previous location",
    "Stack trace:",
    "goroutine ",
    "panic: ",
    "[signal ",
    "Traceback (most recent call last)",
    "During handling of the above exception",
    "The above exception was the direct cause",
    "[Previous exception is",
];

/// Built once, because to build a searcher takes longer than the search.
static TRACEBACK: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new("Traceback (most recent call last)"));
static GOROUTINE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("goroutine "));

/// Follows a log event through its continuations.
///
/// ```
/// use stentor::model::statement::Continuation;
///
/// let mut trace = Continuation::of("[CRITICAL] order 7 could not be stored");
/// assert!(trace.next("java.lang.IllegalStateException: pool is closed").is_some());
/// assert!(trace.next("\tat com.example.db.Pool.take(Pool.java:91)").is_some());
/// assert!(trace.next("order 8 is stored").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Continuation {
    /// A traceback of Python is open: the first line that is not indented is its exception.
    is_traceback: bool,
    has_frames: bool,
    /// A stack of Go is open, whose calls are not indented.
    is_go: bool,
    /// No line has followed yet, so it may be the exception itself.
    is_first: bool,
}

impl Continuation {
    pub fn of(message: &str) -> Self {
        let text = message.trim_end().as_bytes();
        let last = memrchr2(b'\n', b'\r', text).map_or(0, |end| end + 1);
        Self {
            is_traceback: TRACEBACK.find(text).is_some(),
            has_frames: matches!(text.get(last), Some(b' ' | b'\t')),
            is_go: GOROUTINE.find(text).is_some(),
            is_first: true,
        }
    }

    /// The text that the log event `message` adds; `None` if it continues nothing.
    pub fn next<'m>(&mut self, message: &'m str) -> Option<Cow<'m, str>> {
        let text = text_of(message)?;
        let end = memchr2(b'\n', b'\r', text.as_bytes()).unwrap_or(text.len());
        let line = &text[..end];
        let lead = lead_bytes(line);
        let content = line[lead..].trim_start();
        // A lead ends before the blanks that separate it from the text.
        let indent = line[..line.len() - content.len()]
            .bytes()
            .rev()
            .take_while(|byte| matches!(byte, b' ' | b'\t'));
        // One blank separates a lead from its text.
        let is_indented = line.starts_with([' ', '\t'])
            || indent.enumerate().any(|(at, byte)| at > 0 || byte == b'\t');
        let is_frame = is_indented || is_frame(content) || self.is_go && is_call(content);
        let is_exception = self.is_first && is_exception(content)
            || self.is_traceback && self.has_frames && lead == 0;
        if content.is_empty() {
            // Between the parts of a trace.
            return (!self.is_first).then_some(text);
        }
        if !is_frame && !is_exception {
            return None;
        }
        self.is_go |= content.starts_with("goroutine ");
        if content.starts_with("Traceback ") {
            (self.is_traceback, self.has_frames) = (true, false);
        } else if is_exception && !is_frame {
            self.is_traceback = false;
        } else {
            self.has_frames = true;
        }
        self.is_first = false;
        Some(text)
    }
}

/// The line of a program in a log event: of the JSON that a log router makes of it, its member
/// `log`, which is the first.
fn text_of(message: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Routed<'a> {
        #[serde(borrow)]
        log: Cow<'a, str>,
    }
    match message.starts_with("{\"log\":") {
        true => serde_json::from_str::<Routed<'_>>(message).ok().map(|routed| routed.log),
        false => Some(Cow::Borrowed(message)),
    }
}

pub(super) fn is_frame(content: &str) -> bool {
    FRAMES.iter().any(|start| {
        let Some(rest) = content.strip_prefix(start) else { return false };
        match *start {
            // `#0 /app/index.php(7)`, `... 14 more`.
            "#" => rest.starts_with(|c: char| c.is_ascii_digit()),
            "... " => rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(" more"),
            // `from app.rb:7:in 'block'`.
            "from " => rest.contains(":in "),
            // `at com.example.Pool.take(Pool.java:91)`, `at main (/app/index.js:7:1)`.
            "at " => rest.contains(['(', ':', '.']),
            _ => true,
        }
    })
}

/// `main.(*Pool).take(0xc000010000)`, `created by main.start`.
fn is_call(content: &str) -> bool {
    let is_path = |path: &str| !path.is_empty() && !path.contains(' ');
    content.starts_with("created by ")
        || content.ends_with(')') && content.rsplit_once('(').is_some_and(|(path, _)| is_path(path))
}

/// `java.lang.IllegalStateException: pool is closed`.
pub(super) fn is_exception(content: &str) -> bool {
    let end = content.find([':', ' ']).unwrap_or(content.len());
    let name = &content[..end];
    let is_name =
        name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$'));
    is_name && ["Exception", "Error", "Throwable"].iter().any(|kind| name.ends_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the lines continue the first.
    fn continued(lines: &[&str]) -> usize {
        let mut trace = Continuation::of(lines[0]);
        lines[1..].iter().take_while(|line| trace.next(line).is_some()).count()
    }

    #[test]
    fn the_lines_of_a_trace_belong_to_the_first() {
        let traces: [&[&str]; 11] = [
            &[
                "[CRITICAL] worker died",
                "panic: runtime error: invalid memory address",
                "[signal SIGSEGV: segmentation violation code=0x1]",
                "",
                "goroutine 19 [running]:",
                "main.(*Pool).take(0xc000010000)",
                "\t/app/pool.go:91 +0x1d",
                "created by main.start",
            ],
            &[
                "[CRITICAL] order failed",
                "System.InvalidOperationException: no pool",
                " ---> System.Net.Sockets.SocketException: timed out",
                "   at Shop.Pool.Take() in Pool.cs:line 7",
            ],
            &[
                "[CRITICAL] order 7 could not be stored",
                "java.lang.IllegalStateException: pool is closed",
                "\tat com.example.db.Pool.take(Pool.java:91)",
                "Caused by: java.net.SocketTimeoutException: connect timed out",
                "\t... 14 more",
            ],
            &[
                "Traceback (most recent call last):",
                "  File \"/app/main.py\", line 7, in handler",
                "    total = order['total']",
                "KeyError: 'total'",
            ],
            &[
                "[ERROR] KeyError",
                "Traceback (most recent call last):",
                "  File \"a.py\", line 1",
                "botocore.exceptions.ClientError: An error occurred",
                "",
                "During handling of the above exception, another exception occurred:",
                "Traceback (most recent call last):",
                "  File \"b.py\", line 2",
                "main.Refused: no",
            ],
            &[
                "TypeError: x is not a function",
                "    at main (/app/index.js:7:1)",
                "    at next (a.js:1:1)",
            ],
            &[
                "Unhandled exception",
                "   at Shop.Cart.Save() in Cart.cs:line 7",
                "--- End of inner exception stack trace ---",
            ],
            &[
                "PHP Fatal error:  Uncaught Error: x",
                "Stack trace:",
                "#0 /app/index.php(7): save()",
            ],
            &["app.rb:7:in 'save': no disk (RuntimeError)", "\tfrom app.rb:3:in '<main>'"],
            &[
                "2026-11-23T14:15:16.1Z stderr F [CRITICAL] no pool",
                "2026-11-23T14:15:16.1Z stderr F \tat com.example.Pool.take(Pool.java:91)",
                "2026-11-23T14:15:16.1Z stderr F   File \"a.py\", line 7",
            ],
            &[
                r#"{"log":"[CRITICAL] no pool","stream":"stderr"}"#,
                r#"{"log":"\tat com.example.Pool.take(Pool.java:91)","stream":"stderr"}"#,
            ],
        ];
        for trace in traces {
            assert_eq!(continued(trace), trace.len() - 1, "{trace:#?}");
        }
    }

    #[test]
    fn other_log_events_do_not() {
        let others: [&[&str]; 8] = [
            &["[CRITICAL] no pool", "order 8 is stored"],
            &["[CRITICAL] no pool", "2026-11-23T14:15:16Z INFO order 8 is stored"],
            &["[CRITICAL] no pool", "at noon the pool was empty"],
            &["[CRITICAL] no pool", "from here on all is well"],
            &["[CRITICAL] no pool", "# a comment"],
            &["[CRITICAL] no pool", ""],
            &["[CRITICAL] no pool", r#"{"log":"order 8 is stored"}"#],
            &["[CRITICAL] no pool", r#"{"log":"#],
        ];
        for lines in others {
            assert_eq!(continued(lines), 0, "{lines:?}");
        }
        // An exception that follows other lines of the trace is another one.
        assert_eq!(continued(&["[CRITICAL] x", "\tat a.b(c)", "java.lang.Error: y"]), 1);
        // The exception ends a traceback.
        let traceback =
            ["Traceback (most recent call last):", "  File \"a\"", "KeyError: 1", "KeyError: 2"];
        assert_eq!(continued(&traceback), 2);
    }
}
