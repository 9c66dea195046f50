//! Reads the lines of a file in blocks. The lines that may carry a marker are copied, with those
//! around them; the others are counted in place. The result does not depend on where a block ends.

use std::io::{ErrorKind, Read};

use memchr::{memchr, memrchr};
use stentor::ingest::event::{Batch, Data, Record};
use stentor::ingest::lines::{GatheredLines, LineFilter, LineNames, LineRecord, LineWindow};
use stentor::ingest::logs::LogBatch;
use stentor::model::time::Timestamp;

use super::lines::{LINE_BYTES_MAX, LineOrigin, without_end};

/// Lines of one record of a batch. Records are decoded in parallel.
const RECORD_HITS_MAX: usize = 250;

#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockLimits {
    /// The size of a block, unless one line is longer.
    pub block: usize,
    /// Bytes that are kept before and after a block.
    pub before: usize,
    pub after: usize,
    /// A longer line is cut.
    pub line: usize,
    /// Lines that are gathered at once: few enough for a prompt shutdown, even if each is an alert.
    pub hits: usize,
    /// The size of their copies.
    pub text: usize,
    /// Bytes of the input that are looked at at once.
    pub scanned: u64,
}

impl BlockLimits {
    pub(crate) fn of(filter: &LineFilter) -> Self {
        let around = filter.limits();
        Self {
            // Fits the cache of a core.
            block: 512 * 1024,
            before: if around.before > 0 { 64 * 1024 } else { 0 },
            after: around.after_bytes,
            line: LINE_BYTES_MAX,
            hits: 4_000,
            text: 4 * 1024 * 1024,
            scanned: 64 * 1024 * 1024,
        }
    }
}

/// Lines that were gathered together.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Without lines at the end of the input.
    pub lines: GatheredLines,
    /// The offset of the first line that was too long.
    pub cut: Option<u64>,
}

/// The lines of an input.
pub(crate) struct LineBlocks<R> {
    input: R,
    limits: BlockLimits,
    buffer: Vec<u8>,
    /// How much of the buffer is filled.
    filled: usize,
    /// Where the next line begins. Before it are lines that were looked at.
    at: usize,
    /// The offset of the buffer in the input, and how many lines were looked at.
    offset: u64,
    lines: u64,
    has_ended: bool,
    failure: Option<std::io::Error>,
}

/// The next lines in the buffer.
struct Block {
    end: usize,
    /// It is the beginning of a line that is too long.
    is_cut: bool,
}

impl<R: Read> LineBlocks<R> {
    /// `offset` is that of `input` in its file.
    pub(crate) fn new(input: R, offset: u64, limits: BlockLimits) -> Self {
        let buffer = vec![0; limits.before + limits.block + limits.after];
        let (filled, at, lines, has_ended, failure) = (0, 0, 0, false, None);
        Self { input, limits, buffer, filled, at, offset, lines, has_ended, failure }
    }

    /// The next lines; none at the end.
    ///
    /// # Errors
    /// When reading fails. The lines before that, and what was read of the last one, come first.
    pub(crate) fn next(&mut self, filter: &LineFilter) -> std::io::Result<Gathered> {
        let BlockLimits { hits, text, scanned, .. } = self.limits;
        let until = self.position() + scanned;
        let mut gathered = Gathered::default();
        while gathered.lines.hits.len() < hits
            && gathered.lines.bytes() < text
            && self.position() < until
            && let Some(block) = self.block()
        {
            let begin = self.position();
            let shown = if block.is_cut { block.end } else { self.filled };
            let window = LineWindow {
                text: &self.buffer[..shown],
                block: self.at..block.end,
                is_last: self.has_ended && !block.is_cut,
                offset: self.offset,
                lines_before: self.lines,
            };
            let before = gathered.lines.lines;
            self.at = filter.gather(&window, &mut gathered.lines, hits);
            self.lines += gathered.lines.lines - before;
            if block.is_cut && self.skip_line() {
                gathered.cut.get_or_insert(begin);
            }
        }
        match self.failure.take_if(|_| gathered.lines.lines == 0) {
            Some(error) => Err(error),
            None => Ok(gathered),
        }
    }

    fn position(&self) -> u64 {
        self.offset + self.at as u64
    }

    /// Whole lines, followed by as much text as may become a part of their alerts. `None` at the
    /// end.
    fn block(&mut self) -> Option<Block> {
        loop {
            let rest = self.filled - self.at;
            if self.has_ended && rest <= self.limits.line {
                return (rest > 0).then_some(Block { end: self.filled, is_cut: false });
            }
            let after = if self.has_ended { 0 } else { self.limits.after };
            let whole = rest.saturating_sub(after).min(self.limits.line);
            if let Some(end) = memrchr(b'\n', &self.buffer[self.at..self.at + whole]) {
                return Some(Block { end: self.at + end + 1, is_cut: false });
            }
            if whole == self.limits.line {
                return Some(Block { end: self.at + whole, is_cut: true });
            }
            self.fill();
        }
    }

    /// Reads until the buffer is full. Keeps the lines before the next one that may be needed.
    fn fill(&mut self) {
        let usual = self.limits.before + self.limits.block + self.limits.after;
        let largest = self.limits.before + self.limits.line + self.limits.after;
        self.forget(self.first_kept());
        if self.filled == self.buffer.len() {
            self.buffer.resize((2 * self.buffer.len()).min(largest.max(usual)), 0);
        } else if self.buffer.len() > usual && self.filled < usual / 2 {
            self.buffer.truncate(usual);
            self.buffer.shrink_to_fit();
        }
        while self.filled < self.buffer.len() && !self.has_ended {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.has_ended = true,
                Ok(length) => self.filled += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => (self.has_ended, self.failure) = (true, Some(error)),
            }
        }
    }

    /// The beginning of the first line that is kept.
    fn first_kept(&self) -> usize {
        let Some(before) = self.at.checked_sub(self.limits.before + 1) else { return 0 };
        memchr(b'\n', &self.buffer[before..self.at]).map_or(self.at, |end| before + end + 1)
    }

    /// Drops the buffer up to `start`.
    fn forget(&mut self, start: usize) {
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        self.at -= start;
        self.offset += start as u64;
    }

    /// Skips to the end of the line. Returns whether more than the line ending was skipped.
    fn skip_line(&mut self) -> bool {
        let mut is_text = false;
        loop {
            self.forget(self.at);
            let end = memchr(b'\n', &self.buffer[..self.filled]);
            self.at = end.map_or(self.filled, |end| end + 1);
            is_text |= !without_end(&self.buffer[..self.at]).is_empty();
            if end.is_some() || self.has_ended {
                self.forget(self.at);
                return is_text;
            }
            self.forget(self.at);
            self.fill();
        }
    }
}

impl Gathered {
    /// The lines as a batch of records. `now` is the time of lines without a time.
    pub(crate) fn batch<'a>(
        &'a self,
        origin: &'a LineOrigin,
        names: LineNames,
        now: Timestamp,
    ) -> Batch<'a> {
        let head = LogBatch {
            owner: "local".into(),
            log_group: origin.name.as_str().into(),
            log_stream: origin.stream.as_str().into(),
            events: Vec::new(),
        };
        let records = self.lines.records(&head, names, now, RECORD_HITS_MAX);
        let record = |lines: LineRecord<'a>| {
            Record::named(format!("{}@{}", origin.name, lines.first_id()), Data::Lines(lines))
        };
        Batch { records: records.into_iter().map(record).collect(), ..Batch::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use proptest::sample::select;
    use stentor::config::Config;
    use stentor::ingest::decode;
    use stentor::ingest::lines::AroundLimits;
    use stentor::ingest::route::Routes;
    use stentor::model::alert::Alert;

    use super::*;
    use crate::input::lines;

    const ROUTE: &str =
        "[[route]]\nname = \"a\"\nmarkers = [\"[ALERT]\", \"ERROR\"]\nnotify = [\"slack:a\"]\n";

    /// A second route with other conditions, or none.
    const OTHER_ROUTES: [&str; 5] = [
        "",
        "",
        "[[route]]\nname = \"b\"\npattern = '{ $.m = \"E*\" }'\nnotify = [\"slack:a\"]\n",
        "[[route]]\nname = \"b\"\nmarkers = [\"QUIET\"]\nignore_case = true\nnotify = [\"slack:a\"]\n",
        "[[route]]\nname = \"b\"\nregex = '\\d{4}|fin.'\nexcept = { markers = [\"INFO\"] }\nnotify = [\"slack:a\"]\n",
    ];

    fn routes(more: &str) -> Routes {
        Routes::new(&Config::parse(&format!("{more}{ROUTE}"), "test").unwrap()).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_iso("2026-11-26T12:00:00Z").unwrap()
    }

    /// How many lines a batch has, and its alerts.
    fn scan(routes: &Routes, batch: &Batch<'_>) -> (u64, Vec<Alert>) {
        let scanned = decode::all(&batch.records, routes.decoder(), |record, head, events| {
            routes.scan(head, events, None, &record.event_id)
        });
        let (mut lines, mut alerts) = (0, Vec::new());
        for scanned in scanned.into_iter().map(|scanned| scanned.whole().unwrap().unwrap()) {
            lines += scanned.events;
            alerts.extend(scanned.alerts);
        }
        (lines, alerts)
    }

    /// Without the name of the record, which depends on the part that is read at once.
    fn without_source(mut found: (u64, Vec<Alert>)) -> (u64, Vec<String>) {
        (
            found.0,
            found
                .1
                .drain(..)
                .map(|alert| {
                    format!(
                        "{:?} {:?} {} {} {:?} {}",
                        alert.id,
                        alert.timestamp,
                        alert.marker,
                        alert.message,
                        alert.context,
                        alert.pattern
                    )
                })
                .collect(),
        )
    }

    /// Reads all lines, and makes a log event of each.
    fn reference(routes: &Routes, text: &[u8]) -> (u64, Vec<String>) {
        let origin = LineOrigin::file(Path::new("/x.log"));
        let lines = lines::read_lines(&mut { text }, &mut 0, u64::MAX / 2).unwrap().lines;
        without_source(scan(routes, &lines::batch(&lines, &origin, now())))
    }

    /// Returns `steps` bytes at a time, in turn.
    struct Trickle<'a>(&'a [u8], Vec<usize>);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1.rotate_left(1);
            let length = self.1[0].min(buffer.len()).min(self.0.len());
            self.0.read(&mut buffer[..length])
        }
    }

    fn in_blocks(
        routes: &Routes,
        filter: &LineFilter,
        input: impl Read,
        limits: BlockLimits,
    ) -> (u64, Vec<String>) {
        let origin = LineOrigin::file(Path::new("/x.log"));
        let mut blocks = LineBlocks::new(input, 0, limits);
        let mut found = (0, Vec::new());
        loop {
            let gathered = blocks.next(filter).unwrap();
            if gathered.lines.lines == 0 {
                return without_source(found);
            }
            let (lines, alerts) = scan(routes, &gathered.batch(&origin, LineNames::Offset, now()));
            assert_eq!(lines, gathered.lines.lines);
            found.0 += lines;
            found.1.extend(alerts);
        }
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            b"[ALERT] disk full",
            b"ERROR",
            b"[AL\x1b[31mERT] x",
            b"\x1b[32mINFO\x1b[m fine",
            b"2026-11-26T10:00:00Z ",
            b"\n",
            b"\n",
            b"\r\n",
            b"\n\tat com.shop.Cart.pay(Cart.java:7)\n",
            b"\nCaused by: x\n",
            b"\nTraceback (most recent call last):\n  File \"a.py\"\nKeyError: 1\n",
            b"quiet",
            b"\xff\xfe",
            "\u{e4}\u{fffd}".as_bytes(),
            b"[ALE",
            b"RT]",
            b"\n\n",
            b"{\"ts\":1795443306,\"m\":\"ERROR\"}\n",
            b" ",
        ];
        prop::collection::vec(select(pieces), 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn lines_are_found_as_if_each_was_read(
            text in text(),
            steps in prop::collection::vec(1..40_usize, 1..5),
            (block, hits, size) in (1..64_usize, 1..4_usize, 1..200_usize),
            more in select(vec!["", "strict = true\n"]),
            context in select(vec!["", "context = { before = 2, after = 1 }\n"]),
            route in select(OTHER_ROUTES.to_vec()),
        ) {
            let config = Config::parse(&format!("{more}{ROUTE}{context}{route}"), "test").unwrap();
            let routes = Routes::new(&config).unwrap();
            let filter = routes.line_filter();
            let usual = BlockLimits::of(filter);
            let small = BlockLimits { block, hits, text: size, ..usual };
            let expected = reference(&routes, &text);
            prop_assert_eq!(&in_blocks(&routes, filter, &text[..], usual), &expected);
            prop_assert_eq!(&in_blocks(&routes, filter, Trickle(&text, steps.clone()), small), &expected);
            // So few bytes after a line are looked at that blocks end in the midst of the text.
            if !route.is_empty() {
                return Ok(());
            }
            let markers = ["[ALERT]", "ERROR"].into_iter().filter(|_| more.is_empty());
            let near = LineFilter::new(markers, AroundLimits { after_bytes: 60, ..filter.limits() });
            let near_limits = BlockLimits { before: 60, ..BlockLimits::of(&near) };
            let small = BlockLimits { block, hits, text: size, ..near_limits };
            let whole = in_blocks(&routes, &near, &text[..], near_limits);
            let (lines, alerts) = in_blocks(&routes, &near, Trickle(&text, steps), small);
            prop_assert_eq!((lines, alerts.len()), (whole.0, whole.1.len()));
            if context.is_empty() {
                prop_assert_eq!(alerts, whole.1);
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_is_found() {
        let text = b"ERROR 78\nERROR 78\r\nERROR 789 ERROR\nERROR\n";
        let routes = routes("");
        let limits = BlockLimits {
            block: 4,
            before: 0,
            after: 4,
            line: 8,
            ..BlockLimits::of(routes.line_filter())
        };
        let mut blocks = LineBlocks::new(&text[..], 0, limits);
        let gathered = blocks.next(routes.line_filter()).unwrap();
        let origin = LineOrigin::file(Path::new("/x.log"));
        let (lines, alerts) = scan(&routes, &gathered.batch(&origin, LineNames::Offset, now()));
        let messages: Vec<&str> = alerts.iter().map(|alert| alert.message.as_str()).collect();
        assert_eq!((lines, gathered.cut), (4, Some(19)));
        assert_eq!(messages, ["ERROR 78", "ERROR 78", "ERROR 78", "ERROR"]);
    }

    #[test]
    fn lines_before_an_error_come_first() {
        struct Fails<'a>(&'a [u8]);
        impl Read for Fails<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(std::io::Error::other("broken")),
                    length => Ok(length),
                }
            }
        }
        let routes = routes("");
        let filter = routes.line_filter();
        let mut blocks = LineBlocks::new(Fails(b"one\nERROR\npart"), 0, BlockLimits::of(filter));
        let gathered = blocks.next(filter).unwrap();
        assert_eq!((gathered.lines.lines, gathered.lines.hits.len()), (3, 1));
        assert_eq!(blocks.next(filter).unwrap_err().to_string(), "broken");
    }
}
