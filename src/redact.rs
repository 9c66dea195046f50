//! Takes secrets out of log text before anything of it is stored or shown.
//!
//! One automaton over all trigger words (`password`, `AKIA`, `://`, …) walks the text once, and only
//! around a hit does anything look closer. A hit is either the *shape* of a known credential or the
//! *name* of a secret; then the value behind it goes, up to the end that its syntax gives it: JSON at
//! any level of escaping, query strings, headers, XML, YAML, command lines. Card numbers have no
//! trigger word and are looked for between what was found. A secret becomes `[redacted:<kind>]`; its
//! name and the syntax around it stay.
//!
//! In doubt it redacts. It judges by syntax, not by entropy: a secret that nobody named and that has
//! no known shape stays, and is a case for the patterns of the configuration. Cutting long text is
//! left to others and must come after, for half a secret has no shape.
//!
//! Time is linear in the text, whatever it says: a look ahead is bounded, or it ends before the next
//! hit, or what it passed over goes and is never looked at again (`time_is_linear_in_hostile_text`).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use regex::{Regex, RegexSet};

/// The built-in rules and the patterns of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    extra: Vec<Regex>,
    /// All of `extra` in one pass: tells which of them need a pass of their own.
    screen: RegexSet,
}

/// A pattern of the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("redaction pattern {index}: {reason}")]
pub struct BadPattern {
    /// Its place in the list that was given, from 0.
    pub index: usize,
    /// One line for the person who wrote it.
    pub reason: String,
}

impl Redactor {
    /// The built-in rules, and `extra` regular expressions: the group named `secret` of each match
    /// goes, or else all of it.
    ///
    /// # Errors
    /// Every pattern that is no regular expression or matches the empty text.
    pub fn new<'p>(extra: impl IntoIterator<Item = &'p str>) -> Result<Redactor, Vec<BadPattern>> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (index, pattern) in extra.into_iter().enumerate() {
            match compile(pattern) {
                Ok(regex) => good.push(regex),
                Err(reason) => bad.push(BadPattern { index, reason }),
            }
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        let screen = RegexSet::new(good.iter().map(Regex::as_str)).map_err(|error| {
            let reason = format!("too large together with the others: {error}");
            vec![BadPattern { index: good.len() - 1, reason }]
        })?;
        Ok(Redactor { extra: good, screen })
    }

    /// `text` without its secrets; borrowed when it has none. Redacting twice is redacting once.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        // A secret may have hidden another, by standing so close that it seemed part of something.
        for _ in 0..4 {
            let spans = self.find(&text);
            if spans.is_empty() {
                break;
            }
            let redacted = render(&text, &spans);
            text = Cow::Owned(redacted);
        }
        text
    }

    fn find<'t>(&self, text: &'t str) -> Vec<Span<'t>> {
        let mut spans = Scan::new(text).run();
        self.find_extra(text, &mut spans);
        let mut spans = merge(spans);
        find_cards(text, &mut spans);
        spans
    }

    fn find_extra(&self, text: &str, spans: &mut Vec<Span<'_>>) {
        let hits = self.screen.matches(text);
        if !hits.matched_any() {
            return;
        }
        let settled: Vec<_> = PLACEHOLDER.find_iter(text).map(|found| found.range()).collect();
        for found in hits.iter().flat_map(|index| self.extra[index].captures_iter(text)) {
            let secret = found.name("secret").unwrap_or_else(|| found.get_match()).range();
            // However wide the pattern, a placeholder is no secret.
            let next = settled.partition_point(|placeholder| placeholder.end <= secret.start);
            let apart = settled.get(next).is_none_or(|next| next.start >= secret.end);
            if apart && !secret.is_empty() {
                spans.push(Span { range: secret, kind: "custom", quote: "" });
            }
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    // The parser's report is a drawing of several lines; the last one says it.
    let last = |error: regex::Error| error.to_string().lines().last().unwrap_or("").trim().to_owned();
    let regex = Regex::new(pattern).map_err(last)?;
    if regex.is_match("") { Err("matches the empty text".into()) } else { Ok(regex) }
}

/// A stretch of the text that goes, what it is, and the quote to put around its replacement.
struct Span<'t> {
    range: Range<usize>,
    kind: &'static str,
    quote: &'t str,
}

fn merge(mut spans: Vec<Span<'_>>) -> Vec<Span<'_>> {
    spans.sort_by_key(|span| span.range.start);
    let mut merged: Vec<Span<'_>> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(Span { range, .. }) if span.range.start < range.end => {
                range.end = range.end.max(span.range.end);
            }
            _ => merged.push(span),
        }
    }
    merged
}

fn render(text: &str, spans: &[Span<'_>]) -> String {
    let mut out = String::with_capacity(text.len() + 24 * spans.len());
    let mut done = 0;
    for Span { range, kind, quote } in spans {
        let quote = if quote.is_empty() { missing_quote(text, range.start) } else { quote };
        out.push_str(&text[done..range.start]);
        for piece in [quote, PLACEHOLDER_START, kind, "]", quote] {
            out.push_str(piece);
        }
        done = range.end;
    }
    out + &text[done..]
}

/// JSON has no bare words: what replaces the 7 of `"pin": 7` gets quotes, like those of its name.
fn missing_quote(text: &str, at: usize) -> &str {
    let name = text[..at].trim_end_matches([' ', '\t']).strip_suffix(':');
    let name = name.map_or("", |name| name.trim_end_matches([' ', '\t']));
    match name.strip_suffix(['"', '\'']) {
        Some(inside) => &name[inside.trim_end_matches('\\').len()..],
        None => "",
    }
}

const PLACEHOLDER_START: &str = "[redacted:";

/// Where the placeholder that starts at `at` ends, if there is one.
fn placeholder_end(text: &str, at: usize) -> Option<usize> {
    let kind = text[at..].strip_prefix(PLACEHOLDER_START)?;
    let rest = kind.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '-');
    (rest.len() < kind.len() && rest.starts_with(']')).then(|| text.len() - rest.len() + 1)
}

/// What a trigger word announces.
#[derive(Clone, Copy)]
enum Rule {
    /// The name of a secret.
    Name(Name),
    /// A scheme of authorization that is known wherever it stands.
    Scheme(&'static str),
    Token(Token),
    /// An address whose path is the secret.
    Webhook(&'static str),
    Jwt,
    AwsKey,
    PrivateKey,
    Url,
    EncodedUrl,
    Placeholder,
}

#[derive(Clone, Copy)]
struct Name {
    kind: &'static str,
    style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    /// Only as the last word of a name; a short number is not a secret: `pass: 12`.
    Pass,
    /// A scheme may stand before the credential.
    Auth,
    /// `name=value` pairs, of which the values go.
    Cookie,
    /// One such pair; the attributes behind it stay.
    SetCookie,
    /// Only right before `=` and a long value.
    Signature,
}

/// A token that is told by how it starts, given at least so many more characters.
#[derive(Clone, Copy)]
struct Token {
    kind: &'static str,
    start: &'static str,
    least: usize,
    body: Body,
}

#[derive(Clone, Copy)]
enum Body {
    Word,
    Hex,
    Base64,
}

struct Triggers {
    words: AhoCorasick,
    rules: Vec<Rule>,
}

static TRIGGERS: LazyLock<Triggers> = LazyLock::new(|| {
    let (words, rules): (Vec<String>, Vec<Rule>) = names().chain(shapes()).unzip();
    let words = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .build(words)
        .expect("invariant: a few hundred short words fit an automaton");
    Triggers { words, rules }
});

fn names() -> impl Iterator<Item = (String, Rule)> {
    use Style::{Auth, Cookie, Pass, Plain, SetCookie, Signature};
    let words = [
        ("password", Plain, "password passwd passphrase passcode passwort pswd pwd"),
        ("password", Pass, "pass"),
        ("secret", Plain, "secret"),
        ("token", Plain, "token"),
        ("credential", Plain, "credential"),
        ("auth", Auth, "auth authorization"),
        ("cookie", Cookie, "cookie"),
        ("cookie", SetCookie, "set-cookie"),
        ("signature", Signature, "sig x-amz-signature"),
        ("aws-secret", Plain, "secretaccesskey secret_access_key secret-access-key"),
    ];
    let keys = [
        ("api-key", "api"),
        ("private-key", "private"),
        ("key", "access account admin encryption integration master routing service signing"),
    ];
    let rule = |kind, style| Rule::Name(Name { kind, style });
    let words = words
        .into_iter()
        .flat_map(move |(kind, style, words)| words.split(' ').map(move |word| (word.to_owned(), rule(kind, style))));
    let keys = keys.into_iter().flat_map(move |(kind, firsts)| {
        let joints = ["", "_", "-", ".", " "];
        firsts.split(' ').flat_map(move |first| joints.map(|joint| (format!("{first}{joint}key"), rule(kind, Plain))))
    });
    words.chain(keys).chain([("identified by".to_owned(), rule("password", Plain))])
}

fn shapes() -> impl Iterator<Item = (String, Rule)> {
    use Body::{Base64, Hex, Word};
    let tokens = [
        ("github-token", 16, Word, "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_"),
        ("gitlab-token", 16, Word, "glpat- gldt- glrt- glptt- glcbt- glsoat- glft-"),
        ("slack-token", 8, Word, "xoxa- xoxb- xoxc- xoxd- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs- xapp-"),
        ("aws-token", 32, Base64, "IQoJb3JpZ2lu FwoGZXIvYXdz FQoGZXIvYXdz"),
        ("google-key", 30, Word, "AIza"),
        ("google-token", 16, Word, "ya29. GOCSPX-"),
        ("stripe-key", 10, Word, "sk_live_ sk_test_ rk_live_ rk_test_ whsec_"),
        ("npm-token", 30, Word, "npm_"),
        ("pypi-token", 30, Word, "pypi-"),
        ("sendgrid-key", 32, Word, "SG."),
        ("twilio-key", 32, Hex, "SK"),
        ("ai-key", 20, Word, "sk-"),
        ("atlassian-token", 20, Word, "ATATT3 ATCTT3"),
        ("grafana-token", 20, Word, "glsa_ glc_"),
        ("token", 20, Word, "hf_ hvs. hvb. dckr_pat_ lin_api_ NRAK- PMAK- sq0atp- sq0csp-"),
        ("token", 32, Hex, "dapi dop_v1_ doo_v1_ shpat_ shpss_ shpca_ key-"),
    ];
    let tokens = tokens.into_iter().flat_map(|(kind, least, body, starts)| {
        let rule = move |start| (start, Rule::Token(Token { kind, start, least, body }));
        starts.split(' ').map(rule)
    });
    let others = [
        (PLACEHOLDER_START, Rule::Placeholder),
        ("-----BEGIN", Rule::PrivateKey),
        ("AKIA", Rule::AwsKey),
        ("ASIA", Rule::AwsKey),
        ("eyJ", Rule::Jwt),
        ("://", Rule::Url),
        (r":\/\/", Rule::Url),
        ("%3A%2F%2F", Rule::EncodedUrl),
        ("bearer", Rule::Scheme("bearer")),
        ("basic", Rule::Scheme("basic-auth")),
        ("hooks.slack", Rule::Webhook("slack-webhook")),
        ("/api/webhooks", Rule::Webhook("webhook")),
        ("/webhookb2", Rule::Webhook("webhook")),
    ];
    tokens.chain(others).map(|(word, rule)| (word.to_owned(), rule))
}

macro_rules! patterns {
    ($($name:ident = $pattern:expr;)*) => {$(
        static $name: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new($pattern).expect("invariant: the built-in patterns are regular expressions")
        });
    )*};
}

// All but the first two are anchored: they look at what follows and give up where it does not fit.
patterns! {
    PLACEHOLDER = r"\[redacted:[a-z-]+\]";
    NAME_PARTS = "(?<joint>[_.-]*)(?:[0-9]+|(?<part>[A-Z]?[a-z]+|[A-Z]+))";
    LINK = r#"(?xi-u)^(?:
        (?<close>(?:\\*["'`]|\[[a-z0-9_]{0,16}\]|[\])]|%(?:25){0,3}(?:22|27|5d)|&quot;
            |\\{1,7}(?:u0022|x22)){0,4})
        (?<gap>[\x20\t]*)
        (?<sep>=>|={1,3}|:=|:{1,2}|!=|%(?:25){0,3}3[ad]|\\{1,7}u003[ad]
            |(?:,|\s)\s*["'\\]*value["'\\]*\s*[:=])
        (?<space>[\x20\t]*)
      | [\x20\t]+(?<is>is|was)[\x20\t]+
      | (?<item>\\*["'],)?[\x20\t]*)"#;
    OPENING = r#"(?x)^(?:[A-Za-z]{1,30}\()*[&@*$]?[bBuU]?[rR]?
        (?<quote>\\*["'`]|%(?:25){0,3}2[27]|&quot;|&\#3[49];|\\{1,7}(?:u002[27]|x2[27])|“|‘)"#;
    // A quote that closes what the name stands in, not one that opens a value: `"password:","x"`.
    NO_OPENING = r#"^\\*["'`]\s*(?:[,:}\])]+\s*(?:\\*["'`]|[\[{}\])0-9]|$)|$)"#;
    QUOTED = r#"(?x)^(?:'(?<a>[^\s,:;)}\]\\"'](?:[^'\n]|''){0,200})'
        |"(?<b>[^\s,:;)}\]\\"'][^"\n]{0,200})")"#;
    NESTED = r#"^\{\s*(?:\\*["'`]|\}|$|[A-Za-z_][A-Za-z0-9_.-]{0,63}\s*[=:])"#;
    BLOCK = r"^[|>][+-]?[0-9]?[\x20\t]*\r?\n(?<indent>[\x20\t]+)";
    SCHEME = r#"(?i)^(?<lead>(?<scheme>[a-z][a-z0-9_-]{1,30})(?:[\x20\t]+|%20|\+))[^\s"'`\\=:]"#;
    PAIR = r"^[A-Za-z0-9_.$-]{1,64}=[^=\s;]";
    NEXT_COOKIE = r"^;[\x20\t]*[A-Za-z0-9_.$-]{1,64}=";
    NEXT_PARAMETER = r#"^\\*"?,[\x20\t]*[A-Za-z0-9_.$-]{1,64}="#;
    // The first three stand for a whole value only where the value ends behind them.
    NOTHING = r"(?i)^(?:null|none|nil|undefined|true|false|\(null\)|<nil>|\?|\$[0-9]{1,2}|%s|\*{3,})";
    STATUS = r#"(?ix)^(?:ok|success|failed|failure|error|denied|expired|missing|invalid|valid|required
        |disabled|enabled|present|unknown|empty|unset|set|basic|bearer|jwt|[^\pL\pN\s"'`\\\[({]{1,8})"#;
    NUMBER = "^[0-9]{1,5}";
    PLACE = "^[0-9]{1,5}(?::[0-9]{1,5})*";
    PORT = "^[0-9]{1,5}[/?]";
    MASKED = r"(?ix)^[\[<({]{1,2}(?:redacted|filtered|masked|hidden|removed|omitted|protected)
        (?:[\x20:_-][a-z_-]{1,20})?[\]>)}]{1,2}(?:[^a-z0-9]|$)";
    PROSE = r"^[A-Za-z]+(?:'[a-z]+)?,?[\x20\t]\(?[a-z]+(?:[\s.,;!?)]|$)";
    MARKER = r"^\[[A-Z]+\](?:\s|$)";
    BRIDGE = r"^(?:is|was|or|and|must|not|flag|option|cannot|should|has|to|for|in)(?:[\s.,;]|$)";
    BEARER = r"^(?:[\x20\t]+|%20)(?<secret>[A-Za-z0-9._~+/=-]{1,64})";
    AWS_ID = "^A[KS]IA[A-Z0-9]{16}(?:[^A-Za-z0-9]|$)";
    AWS_SECRET = r"(?x)^[^A-Za-z0-9/+]{1,8}(?:[A-Za-z]{1,24}[^A-Za-z0-9/+]{1,8}){0,3}
        (?<secret>[A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+]|$)";
    ENCODED_PASSWORD = r#"(?i)^[^\s%/"'&]*%3A(?<secret>(?:[^\s"'&/%]|%[0-9a-f][0-9a-e]){1,200}?)%40"#;
    WEBHOOK = r"(?ix)^(?:(?:-gov)?\.com(?:\\*/|%2F)(?:services|workflows|triggers))?
        (?:\\*/|%2F)(?<secret>(?:[A-Za-z0-9_%=+~@-]|\\*/)+)";
    PEM = r"^-----BEGIN[A-Z0-9\x20+%_]*PRIVATE(?:[\x20+_]|%20)KEY[A-Z0-9\x20+%_]*-----";
    PEM_END = r"^-----END[A-Z0-9\x20+%_]*(?:-----)?";
    BEFORE_EQUALS = &end_before("=");
    BEFORE_COLON = &end_before(":");
}

/// Where a bare value ends though no blank follows: at punctuation that makes sense as an end, with
/// nothing but more of it before the blank, or a quote with structure behind it, or the next name.
/// Other punctuation is part of the value.
fn end_before(separator: &str) -> String {
    let last = r#"[,:;&|)\]}>"'`\\]+(?:[\x00-\x20]|$)"#;
    let quote = r#"[)\]}>]*\\*["'`][\\"'`]*(?:[,:;)\]}>]|\\+[nrt]|[.?!]+(?:\s|$))"#;
    let joint = r#"(?:&amp;|[,;&|)\]}>{(\["'`]|\\+(?:["'`nrt]|u0026)){1,8}"#;
    let name = r#"[A-Za-z_][A-Za-z0-9_.-]{0,63}[\\"'`\]]*[\x20\t]*"#;
    format!("^(?:{last}|{quote}|{joint}{name}{separator})")
}

/// The punctuation at which it is asked, once for each run.
const SOFT: &[u8] = b",:;&|)]}>\"'`\\";
const SOFT_RUN: &[u8] = b",:;&|)]}>\"'`\\{([";

/// After these, joined by an underscore, a name no longer names a secret: `token_count`.
const ABOUT_IT: &str = "age alg algorithm arn at attempts bucket budget cache changed class count \
    counter created disabled enabled endpoint error errors event exists exp expired expires \
    expiration expiry field file format found host id ids index invalid issuer kind label len \
    length limit manager max method min missing mode ms name names path policy port present \
    prompt provider rate ref required reset retries rotated rotation scheme scope scopes seconds \
    service set size source state status store strength time timestamp total ttl type updated uri \
    url usage used user username valid validity version";

/// After these, joined in any way, it still does: `secretKey`, `PASSWORD-HASH`. All else that is
/// joined so, does not: `TokenExpiredException`, `secretary`, `token-service`, `password.rs`.
const STILL_IT: &str = "admin base binary bytes code confirm confirmation current data dev encoded \
    encrypted hash header key live new old plain plaintext primary prod raw root salt secondary \
    staging str string test text val value";

fn lists(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|listed| listed == word)
}

impl Name {
    /// Whether it still names a secret with `rest` behind it, and if so, whether several.
    fn with(self, rest: &str) -> Option<bool> {
        let mut plural = false;
        for (n, parts) in NAME_PARTS.captures_iter(rest).enumerate() {
            let Some(part) = parts.name("part") else {
                continue;
            };
            let part = part.as_str().to_ascii_lowercase();
            let fits = match (&parts["joint"], self.style) {
                (_, Style::Pass | Style::Signature) => false,
                ("", _) if n == 0 && part == "s" => {
                    plural = true;
                    continue;
                }
                _ if plural => false,
                // The `secret_id` of Vault is one.
                ("_", Style::Plain) if part == "id" => self.kind == "secret",
                ("_", Style::Plain) => !lists(ABOUT_IT, &part),
                _ => lists(STILL_IT, &part),
            };
            if !fits {
                return None;
            }
        }
        Some(plural)
    }
}

/// How a value hangs on its name: `"` and `:` in `"name": 7`.
struct Link<'t> {
    close: &'t str,
    /// Whether blanks stand before the separator, and behind it.
    gaps: (bool, bool),
    sep: &'t str,
}

impl<'t> Link<'t> {
    /// The percent sign as it is written where the name is URL-encoded; else empty.
    fn percent(&self) -> &'t str {
        if self.sep.starts_with('%') { &self.sep[..self.sep.len() - 2] } else { "" }
    }

    fn colon(&self) -> bool {
        self.sep.ends_with([':', 'a', 'A'])
    }
}

/// Where a value starts, and the quote or the indentation that tells where it ends.
struct Value<'t> {
    start: usize,
    quote: &'t str,
    indent: &'t str,
}

impl Value<'_> {
    fn bare(&self) -> bool {
        self.quote.is_empty()
    }
}

struct Scan<'t> {
    text: &'t str,
    bytes: &'t [u8],
    /// All before it is settled.
    at: usize,
    spans: Vec<Span<'t>>,
    /// No `eyJ` before it starts a JWT.
    no_jwt_before: usize,
}

impl<'t> Scan<'t> {
    fn new(text: &'t str) -> Self {
        Scan { text, bytes: text.as_bytes(), at: 0, spans: Vec::new(), no_jwt_before: 0 }
    }

    fn run(mut self) -> Vec<Span<'t>> {
        let Triggers { words, rules } = &*TRIGGERS;
        while let Some(hit) = words.find(Input::new(self.text).range(self.at..)) {
            self.at = hit.end();
            if let Some(span) = self.look(rules[hit.pattern()], hit.range()) {
                // Another may stand before it: `https://ghp_…:x-oauth-basic@github.com`.
                if span.range.start > hit.end() {
                    let between = Scan { at: hit.end(), ..Scan::new(&self.text[..span.range.start]) };
                    self.spans.extend(between.run());
                }
                self.take(span);
            }
        }
        self.spans
    }

    fn look(&mut self, rule: Rule, hit: Range<usize>) -> Option<Span<'t>> {
        match rule {
            Rule::Name(name) => self.named(name, hit),
            Rule::Scheme(kind) => self.scheme(kind, hit),
            Rule::Token(token) => self.token(token, hit),
            Rule::Webhook(kind) => Some(span(self.group(&WEBHOOK, hit.end)?, kind)),
            Rule::Jwt => self.jwt(hit.start),
            Rule::AwsKey => self.aws_key(hit.start),
            Rule::PrivateKey => Some(span(self.pem(hit.start)?, "private-key")),
            Rule::Url => self.url_password(hit.end),
            Rule::EncodedUrl => Some(span(self.group(&ENCODED_PASSWORD, hit.end)?, "url-password")),
            Rule::Placeholder => Some(span(hit.start..hit.start, "")),
        }
    }

    /// What is a placeholder already, stays.
    fn take(&mut self, span: Span<'t>) {
        let quoted = self.text[span.range.start..].starts_with(span.quote);
        let inside = span.range.start + if quoted { span.quote.len() } else { 0 };
        if let Some(end) = placeholder_end(self.text, inside) {
            self.at = self.at.max(end);
        } else if !span.range.is_empty() {
            // The end of it may be the name of another: `password: token: 7`.
            self.at = self.at.max(span.range.start).max(span.range.end.saturating_sub(64));
            self.spans.push(span);
        }
    }

    fn group(&self, pattern: &Regex, at: usize) -> Option<Range<usize>> {
        let secret = pattern.captures(&self.text[at..])?.name("secret")?;
        Some(at + secret.start()..at + secret.end())
    }

    /// Where the run of bytes that belong to it ends.
    fn run_end(&self, at: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let run = self.bytes[at..].iter().position(|&byte| !belongs(byte));
        run.map_or(self.bytes.len(), |run| at + run)
    }

    fn line_end(&self, at: usize) -> usize {
        self.run_end(at, |byte| byte != b'\n')
    }

    fn token(&self, token: Token, hit: Range<usize>) -> Option<Span<'t>> {
        let belongs = |byte: u8| match token.body {
            Body::Word => byte.is_ascii_alphanumeric() || b"_-.".contains(&byte),
            Body::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Body::Base64 => byte.is_ascii_alphanumeric() || b"/+=%_-".contains(&byte),
        };
        // The head alone decides: to read on for each start in a long run of them were quadratic.
        let head = self.bytes.get(hit.end..hit.end + token.least)?;
        let random = head.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        let whole = head.iter().all(|&byte| belongs(byte));
        if &self.text[hit.clone()] != token.start || !random || !whole || !starts_word(self.bytes, hit.start) {
            return None;
        }
        let end = self.run_end(hit.end, belongs);
        Some(span(hit.start..hit.start + trim_dots(&self.text[hit.start..end]), token.kind))
    }

    fn jwt(&mut self, start: usize) -> Option<Span<'t>> {
        let belongs = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if start < self.no_jwt_before || !self.text[start..].starts_with("eyJ") {
            return None;
        }
        let header = self.run_end(start, belongs);
        // What makes it none lies behind the header, and so is the same for each `eyJ` in it.
        self.no_jwt_before = header;
        let mut end = header;
        for _ in 0..4 {
            if self.bytes.get(end) == Some(&b'.') {
                end = self.run_end(end + 1, belongs);
            }
        }
        let long = header > start + 8 && end > header + 8;
        long.then(|| span(start..start + trim_dots(&self.text[start..end]), "jwt"))
    }

    /// The id of an access key, and the secret next to it, on either side.
    fn aws_key(&mut self, start: usize) -> Option<Span<'t>> {
        if !AWS_ID.is_match(&self.text[start..]) || !starts_word(self.bytes, start) {
            return None;
        }
        let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
        // A hash in hexadecimal has as many characters, but in one case.
        let mixed = |range: &Range<usize>| {
            let key = &self.bytes[range.clone()];
            key.iter().any(u8::is_ascii_uppercase) && key.iter().any(u8::is_ascii_lowercase)
        };
        let end = start + 20;
        let after = self.group(&AWS_SECRET, end).filter(mixed);
        let gap = self.bytes[..start].iter().rev().take(9).position(base64);
        let before = gap.and_then(|gap| Some((start - gap).checked_sub(40)?..start - gap));
        let before = before.filter(|range| {
            range.start >= self.spans.last().map_or(0, |last| last.range.end)
                && self.bytes[range.clone()].iter().all(base64)
                && !self.bytes[..range.start].last().is_some_and(base64)
                && mixed(range)
        });
        if let Some(before) = before {
            self.take(span(before, "aws-secret"));
        }
        self.take(span(start..end, "aws-key"));
        after.map(|after| span(after, "aws-secret"))
    }

    /// A private key from its first line to its last, or to the end of a text that was cut.
    fn pem(&self, start: usize) -> Option<Range<usize>> {
        let body = start + PEM.find(&self.text[start..])?.end();
        let last = self.text[body..].find("-----END").map(|last| body + last);
        let end = last.and_then(|last| Some(last + PEM_END.find(&self.text[last..])?.end()));
        Some(start..end.unwrap_or(self.text.len()))
    }

    /// `start` is behind `://`.
    fn url_password(&self, start: usize) -> Option<Span<'t>> {
        let blank = |byte: &u8| *byte <= b' ' || b"\"'<>`".contains(byte);
        let path = |byte: &u8| b"/?#\\".contains(byte);
        let url = &self.bytes[start..self.bytes.len().min(start + 512)];
        let url = url.split(blank).next()?;
        let colon = url.iter().position(|byte| *byte == b':')?;
        let (user, rest) = (&url[..colon], &url[colon + 1..]);
        let authority = rest.split(path).next()?;
        let password = match authority.iter().rposition(|byte| *byte == b'@') {
            // What stands before the slash is no port, so the slash is part of the password.
            None if !authority.iter().all(u8::is_ascii_digit) => rest.iter().position(|byte| *byte == b'@')?,
            at => at?,
        };
        if user.iter().any(|byte| path(byte) || b"@[".contains(byte)) {
            return None;
        }
        let from = start + colon + 1;
        Some(span(from..from + password, "url-password"))
    }

    /// A scheme of authorization and what follows it, with no name before it.
    fn scheme(&self, kind: &'static str, hit: Range<usize>) -> Option<Span<'t>> {
        let Some(range) = self.group(&BEARER, hit.end) else {
            let name = Name { kind, style: Style::Plain };
            return if kind == "bearer" { self.named(name, hit) } else { None };
        };
        let secret = &self.text[range.clone()];
        let quote = |byte: Option<&u8>| byte.is_some_and(|byte| b"\"'\\".contains(byte));
        let quoted = quote(self.bytes.get(range.end));
        let digit = secret.contains(|c: char| c.is_ascii_digit());
        // A challenge, not an answer: `Bearer realm="…"`.
        let challenge = quoted && !digit && secret.ends_with('=');
        let random = match secret.len() {
            0..6 => false,
            6..8 => digit && kind == "bearer",
            8..20 => digit || quoted && quote(self.bytes[..hit.start].last()),
            _ => digit || kind == "bearer",
        };
        (random && !challenge).then(|| span(range.start..self.bare_end(range.start, &NO_LINK).max(range.end), kind))
    }

    fn named(&self, name: Name, hit: Range<usize>) -> Option<Span<'t>> {
        let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let rest = self.bytes[hit.end..].iter().take(64).take_while(|byte| in_name(byte)).count();
        let rest = hit.end + rest;
        let plural = name.with(&self.text[hit.end..rest])?;
        let before = self.bytes[..hit.start].iter().rev().take(64);
        let first = hit.start - before.take_while(|byte| in_name(byte) || **byte == b':').count();
        match &self.bytes[..first] {
            [.., b'<'] => return self.element(name, rest),
            [.., b'<', b'/'] => return None,
            _ if name.style == Style::Pass && self.ends_other_word(hit.start) => return None,
            _ => {}
        }
        let outside = self.bytes[..first].last();
        let flag = self.bytes[first] == b'-' && outside.is_none_or(|byte| *byte <= b' ' || b"\"'`[(,".contains(byte));
        let found = LINK.captures(&self.text[rest..])?;
        let at = rest + found.get_match().end();
        let part = |group| found.name(group).map_or("", |part| part.as_str());
        let gaps = (!part("gap").is_empty(), !part("space").is_empty());
        let link = Link { close: part("close"), gaps, sep: part("sep") };
        // `…:123456789012:secret:prod/db` is the name of a secret, `//auth:80/` a host with a port.
        let place = matches!(&self.bytes[..hit.start], [.., b'0'..=b'9' | b'*', b':'])
            || self.bytes[..first].ends_with(b"//") && PORT.is_match(&self.text[at..]);
        if place && link.sep == ":" || link.close.is_empty() && NO_OPENING.is_match(&self.text[at..]) {
            None
        } else if !link.sep.is_empty() {
            self.paired(name, plural, &link, at)
        } else if !part("is").is_empty() {
            self.said(name, at)
        } else if at > rest && flag {
            self.flagged(name, at)
        } else if name.kind == "password" && self.bytes[at - 1] == b' ' {
            // SQL: `ALTER ROLE app PASSWORD '…'`.
            let found = QUOTED.captures(&self.text[at..])?;
            let quoted = found.name("a").or(found.name("b"))?;
            Some(span(at + quoted.start()..at + quoted.end(), name.kind))
        } else {
            None
        }
    }

    /// `pass` at the end of `bypass`, not of `dbpass` or `userPass`.
    fn ends_other_word(&self, pass: usize) -> bool {
        let before = self.bytes[pass.saturating_sub(4)..pass].to_ascii_lowercase();
        let camel = self.bytes[pass] == b'P' && before.last() == self.bytes[..pass].last();
        let words: [&[u8]; 7] = [b"by", b"com", b"im", b"over", b"sur", b"tres", b"nder"];
        !camel && words.iter().any(|word| before.ends_with(word))
    }

    /// `password is hunter2`.
    fn said(&self, name: Name, at: usize) -> Option<Span<'t>> {
        let value = self.opening(at);
        let word = self.bytes[value.start..].split(|byte| *byte <= b' ').next()?;
        let word = &word[..word.len().min(64)];
        let random = word.iter().any(u8::is_ascii_digit) && word.iter().any(u8::is_ascii_alphabetic);
        let fits = !value.bare() || random && word.len() > 3;
        fits.then(|| span(value.start..self.end(&value, &NO_LINK).0, name.kind))
    }

    /// `--password hunter2`.
    fn flagged(&self, name: Name, at: usize) -> Option<Span<'t>> {
        let value = self.opening(at);
        let text = &self.text[value.start..];
        let fits = !text.starts_with('-') && !BRIDGE.is_match(text);
        fits.then(|| span(value.start..self.end(&value, &NO_LINK).0, name.kind))
    }

    /// `<password type="text">hunter2</password>`; `at` is in the tag.
    fn element(&self, name: Name, at: usize) -> Option<Span<'t>> {
        let tag = at + self.text[at..].find(['<', '>'])?;
        if self.bytes[tag] == b'<' || self.bytes[tag - 1] == b'/' {
            return None;
        }
        let start = tag + 1;
        let text = &self.text[start..];
        if let Some(data) = text.strip_prefix("<![CDATA[") {
            let end = data.find("]]>").unwrap_or(data.len());
            let start = self.text.len() - data.len();
            return Some(span(start..start + end, name.kind));
        }
        let end = match text.find('<') {
            Some(end) if text[end..].starts_with("</") => start + end,
            Some(_) => return None,
            None => self.bare_end(start, &NO_LINK),
        };
        let blank = self.text[start..end].trim_ascii().is_empty();
        (!blank).then(|| span(start..end, name.kind))
    }

    /// `name=value`, `"name": "value"` and their kin. Whether the value goes is decided before it is
    /// read to its end: what was read to its end goes, so that nothing is read twice.
    fn paired(&self, name: Name, plural: bool, link: &Link<'t>, at: usize) -> Option<Span<'t>> {
        let value = self.opening(at);
        let text = &self.text[value.start..];
        let scheme = self.known_scheme(&value);
        if placeholder_end(text, 0).is_none() {
            if scheme.is_none() && self.stays(name, plural, link, &value) {
                return None;
            }
            if value.bare() && text.starts_with('[') {
                return self.list(name, plural, link, value.start + 1);
            }
        }
        let (kind, lead) = scheme.or_else(|| self.other_scheme(name, &value)).unwrap_or((name.kind, 0));
        let pair = matches!(name.style, Style::Cookie | Style::SetCookie) && PAIR.is_match(text);
        let lead = if pair { text.find('=').map_or(0, |equals| equals + 1) } else { lead };
        let start = value.start + lead;
        let value = Value { start, ..value };
        let (mut end, closed) = self.end(&value, link);
        if value.bare() && pair && name.style == Style::Cookie {
            end = self.chain(end, &NEXT_COOKIE, link);
        } else if value.bare() && lead > 0 && kind == "auth" {
            end = self.chain(end, &NEXT_PARAMETER, link);
        } else if !value.bare() && pair && name.style == Style::SetCookie {
            end = self.text[start..end].find(';').map_or(end, |found| start + found);
        }
        // A private key without a quote to end it ends with its last line.
        let pem = self.text[start..end].find("-----BEGIN").filter(|_| closed.is_none());
        let pem = pem.and_then(|found| self.pem(start + found));
        Some(span(start..pem.map_or(end, |pem| pem.end.max(end)), kind))
    }

    /// Whether the value is none, or no secret.
    fn stays(&self, name: Name, plural: bool, link: &Link<'t>, value: &Value<'t>) -> bool {
        let text = &self.text[value.start..];
        let whole =
            |pattern: &Regex| pattern.find(text).is_some_and(|found| self.ends(value.start + found.end(), value, link));
        let password = name.kind == "password";
        let of_any = whole(&NOTHING) || MASKED.is_match(text) || text.starts_with("arn:aws");
        if of_any || !password && whole(&STATUS) {
            return true;
        }
        if !value.bare() {
            return false;
        }
        // As in a message: `invalid token: unexpected end`, `dial tcp auth:8080`, `token.go:17`.
        let message = match link.gaps {
            _ if password || link.sep != ":" || !link.close.is_empty() => false,
            (_, true) => PROSE.is_match(text) || MARKER.is_match(text),
            (_, false) => whole(&PLACE),
        };
        let next_pair = link.sep == "=" && link.gaps == (false, true) && PAIR.is_match(text);
        let of_style = match name.style {
            Style::Pass => text.bytes().take_while(u8::is_ascii_digit).count() < 4 && whole(&NUMBER),
            Style::Signature => {
                let soft = |byte: &u8| *byte <= b' ' || SOFT.contains(byte);
                link.sep != "=" || text.len() < 20 || text.as_bytes()[..20].iter().any(soft)
            }
            _ => false,
        };
        let escape = matches!(text.as_bytes(), [b'\\', b'n' | b'r' | b't', ..]);
        let many = plural && !text.starts_with('[');
        message || next_pair || of_style || escape || many || NESTED.is_match(text)
    }

    fn known_scheme(&self, value: &Value<'t>) -> Option<(&'static str, usize)> {
        let found = SCHEME.captures(&self.text[value.start..])?;
        let kind = match found["scheme"].to_ascii_lowercase().as_str() {
            "bearer" => "bearer",
            "basic" => "basic-auth",
            _ => return None,
        };
        Some((kind, found["lead"].len()))
    }

    /// Behind the name of an authorization also any word before something with a digit.
    fn other_scheme(&self, name: Name, value: &Value<'t>) -> Option<(&'static str, usize)> {
        let found = SCHEME.captures(&self.text[value.start..]).filter(|_| name.style == Style::Auth)?;
        let lead = found["lead"].len();
        let start = value.start + lead;
        let secret = self.bytes[start..].split(|byte| *byte <= b' ').next()?;
        let scheme = &found["scheme"];
        let known = "apikey aws4-hmac-sha256 digest hawk mac negotiate ntlm oauth sharedkey signature";
        let credential = lists(known, &scheme.to_ascii_lowercase())
            || placeholder_end(self.text, start).is_some()
            || !scheme.contains(|c: char| c.is_ascii_digit()) && secret.iter().take(64).any(u8::is_ascii_digit);
        credential.then_some((name.kind, lead))
    }

    /// `["a","b"]`, `[a b]`: all items go, as one.
    fn list(&self, name: Name, plural: bool, link: &Link<'t>, from: usize) -> Option<Span<'t>> {
        let blanks_end = |at| self.run_end(at, |byte| byte.is_ascii_whitespace());
        let mut item = self.opening(blanks_end(from));
        let first = &self.text[item.start..];
        let none = item.bare() && (plural || first.starts_with(['[', '{', ']']));
        let nothing = NOTHING.find(first);
        let nothing = nothing.is_some_and(|found| self.ends(item.start + found.end(), &item, link));
        if (none || nothing) && placeholder_end(first, 0).is_none() {
            return None;
        }
        let close = link.close.trim_start_matches([']', ')']);
        let quote = if item.bare() { close } else { item.quote };
        let start = item.start - item.quote.len();
        loop {
            let (end, behind) = self.end(&item, link);
            let mut end = behind.unwrap_or(end);
            while item.bare() && self.bytes.get(end) == Some(&b' ') {
                let next = self.run_end(end, |byte| byte == b' ');
                end = self.bare_end(next, link);
            }
            let next = blanks_end(end);
            if self.bytes.get(next) != Some(&b',') {
                return Some(Span { range: start..end, kind: name.kind, quote });
            }
            item = self.opening(blanks_end(next + 1));
        }
    }

    fn chain(&self, mut end: usize, next: &Regex, link: &Link<'t>) -> usize {
        while let Some(found) = next.find(&self.text[end..]) {
            end = self.bare_end(end + found.end(), link);
        }
        end
    }

    fn opening(&self, at: usize) -> Value<'t> {
        let text = &self.text[at..];
        let group = |pattern: &Regex, group| {
            let found = pattern.captures(text)?;
            Some((at + found.get_match().end(), found.name(group)?.as_str()))
        };
        if let Some((start, quote)) = group(&OPENING, "quote") {
            Value { start, quote, indent: "" }
        } else if let Some((start, indent)) = group(&BLOCK, "indent") {
            Value { start, quote: "", indent }
        } else {
            Value { start: at, quote: "", indent: "" }
        }
    }

    /// Where the value ends, and the end of the quote that says so.
    fn end(&self, value: &Value<'t>, link: &Link<'t>) -> (usize, Option<usize>) {
        if !value.indent.is_empty() {
            let mut end = self.line_end(value.start);
            let indented =
                |end: usize| self.text[end..].strip_prefix('\n').is_some_and(|line| line.starts_with(value.indent));
            while indented(end) {
                end = self.line_end(end + 1);
            }
            (end, None)
        } else if value.bare() {
            (self.bare_end(value.start, link), None)
        } else {
            let closing = self.closing(value.start, value.quote);
            closing.map_or_else(|| (self.line_end(value.start), None), |quote| (quote.start, Some(quote.end)))
        }
    }

    /// Whether a value that was read up to `at` is over.
    fn ends(&self, at: usize, value: &Value<'t>, link: &Link<'t>) -> bool {
        match self.bytes.get(at) {
            None => true,
            Some(_) if !value.bare() => self.text[at..].starts_with(value.quote),
            Some(0..=b' ') => true,
            Some(b'%') if !link.percent().is_empty() => {
                let code = self.text[at..].strip_prefix(link.percent()).and_then(|code| code.get(..2));
                code.is_some_and(|code| lists(ENCODED_ENDS, &code.to_ascii_lowercase()))
            }
            Some(byte) if !SOFT.contains(byte) => false,
            Some(_) if link.colon() => BEFORE_COLON.is_match(&self.text[at..]),
            Some(_) => BEFORE_EQUALS.is_match(&self.text[at..]),
        }
    }

    fn bare_end(&self, from: usize, link: &Link<'t>) -> usize {
        let bare = Value { start: from, quote: "", indent: "" };
        let mut at = from;
        while !self.ends(at, &bare, link) {
            let soft = SOFT.contains(&self.bytes[at]);
            at += 1;
            if soft {
                at = self.run_end(at, |byte| SOFT_RUN.contains(&byte));
            }
        }
        at
    }

    /// The quote that ends what another has opened. At a level of escaping a quote has backslashes
    /// before it; twice as many and one more belong to a quote inside, and any even number of times
    /// as many to backslashes inside. A letter right behind makes the end doubtful: then it is the
    /// next one on the line, or none.
    fn closing(&self, from: usize, open: &str) -> Option<Range<usize>> {
        let Some(mark) = open.bytes().last().filter(|mark| b"\"'`".contains(mark)) else {
            let close = match open {
                "“" => "”",
                "‘" => "’",
                _ => open,
            };
            let at = from + self.text[from..self.line_end(from)].find(close)?;
            return Some(at..at + close.len());
        };
        let (mut at, mut slashes, mut doubtful) = (from, 0, false);
        while let Some(&byte) = self.bytes.get(at) {
            let (level, run) = (open.len(), slashes + 1);
            let inside = run % level == 0 && run / level % 2 == 0;
            slashes = if byte == b'\\' { slashes + 1 } else { 0 };
            if byte == b'\n' && doubtful {
                return None;
            }
            if byte != mark || inside {
                at += 1;
                continue;
            }
            let next = self.run_end(at, |byte| byte == mark);
            if !self.bytes.get(next).is_some_and(u8::is_ascii_alphanumeric) {
                return Some(at - (run - 1) % level..at + 1);
            }
            doubtful = true;
            at = next;
        }
        None
    }
}

/// A blank, quotes and delimiters as they are where the name is URL-encoded.
const ENCODED_ENDS: &str = "20 22 26 2c 3b 5d 7d 0a 0d";

const NO_LINK: Link<'static> = Link { close: "", gaps: (false, false), sep: "=" };

fn span<'t>(range: Range<usize>, kind: &'static str) -> Span<'t> {
    Span { range, kind, quote: "" }
}

fn trim_dots(text: &str) -> usize {
    text.trim_end_matches('.').len()
}

/// Whether a word can start at `at`: behind no letter or digit, but for those of an escape.
fn starts_word(bytes: &[u8], at: usize) -> bool {
    match &bytes[..at] {
        [.., b'\\', b'n' | b'r' | b't'] | [.., b'\\', b'u', _, _, _, _] => true,
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [.., last] => !last.is_ascii_alphanumeric(),
        [] => true,
    }
}

/// Card numbers between the spans. Every 13 digits, with or without single separators, have one in
/// each two adjacent bytes, so two in twelve tell where to look.
fn find_cards(text: &str, spans: &mut Vec<Span<'_>>) {
    let mut cards = Vec::new();
    let starts = spans.iter().map(|span| span.range.end);
    let ends = spans.iter().map(|span| span.range.start);
    for (start, end) in [0].into_iter().chain(starts).zip(ends.chain([text.len()])) {
        let bytes = &text.as_bytes()[start..end];
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let joint = |at: usize| matches!(bytes.get(at), Some(b' ' | b'-'));
        let (mut done, mut probe) = (0, 11);
        while probe < bytes.len() {
            let Some(near) = [probe, probe + 1].into_iter().find(|&at| digit(at)) else {
                probe += 12;
                continue;
            };
            let (mut first, mut last) = (near, near);
            while first > done && (digit(first - 1) || joint(first - 1) && first > done + 1 && digit(first - 2)) {
                first -= 1;
            }
            while digit(last + 1) || joint(last + 1) && digit(last + 2) {
                last += 1;
            }
            done = last + 1;
            probe = done + 11;
            cards.extend(cards_in_run(bytes, first..done).into_iter().map(|card| start + card.start..start + card.end));
        }
    }
    if !cards.is_empty() {
        spans.extend(cards.into_iter().map(|card| span(card, "card")));
        spans.sort_by_key(|span| span.range.start);
    }
}

/// Cards in a run of digits and single separators: numbers of their own, in the groups that cards
/// are printed in where other numbers stand around, else in any.
fn cards_in_run(bytes: &[u8], run: Range<usize>) -> Vec<Range<usize>> {
    let mut cards = Vec::new();
    if run.len() < 13 {
        return cards;
    }
    let mut groups = Vec::new();
    let mut at = run.start;
    for group in bytes[run.clone()].split(|byte| !byte.is_ascii_digit()) {
        groups.push(at..at + group.len());
        at += group.len() + 1;
    }
    let (before, after) = (&bytes[..run.start], &bytes[run.end..]);
    if before.last() == Some(&b'%') {
        // The two digits of `%20`.
        groups[0].start = groups[0].end.min(run.start + 2);
    }
    let glued = !starts_word(bytes, run.start) || matches!(before, [.., b'0'..=b'9', b'.']);
    let glued_after = matches!(after, [b'.', b'0'..=b'9', ..]) || after.first().is_some_and(u8::is_ascii_alphanumeric);
    let groups = &groups[usize::from(glued)..];
    let groups = &groups[..groups.len().saturating_sub(usize::from(glued_after))];
    let alone = !glued && !glued_after;
    let mut from = 0;
    while from < groups.len() {
        let fits = |&to: &usize| {
            let lengths: Vec<_> = groups[from..=to].iter().map(Range::len).collect();
            let whole = from == to || alone && lengths.len() == groups.len();
            let printed = matches!(lengths[..], [4, 4, 4, 4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5]);
            (whole || printed) && is_card(&bytes[groups[from].start..groups[to].end])
        };
        let longest = groups.len().min(from + 19);
        match (from..longest).rev().find(fits) {
            Some(to) => {
                cards.push(groups[from].start..groups[to].end);
                from = to + 1;
            }
            None => from += 1,
        }
    }
    cards
}

/// 13 to 19 digits that start like those of a card network and pass the check of Luhn.
fn is_card(number: &[u8]) -> bool {
    let digits: Vec<u32> =
        number.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0')).collect();
    let network = digits.iter().take(4).fold(0, |start, digit| start * 10 + digit);
    let known = matches!(network,
        4000..=4999 | 5000..=5899 | 2221..=2720 | 2200..=2204 | 3400..=3499 | 3700..=3799
        | 3000..=3059 | 3095 | 3528..=3699 | 3800..=3999 | 6011 | 6200..=6299 | 6304
        | 6440..=6599 | 6700..=6799);
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(n, digit)| match digit << (n % 2) {
            double @ 10.. => double - 9,
            digit => digit,
        })
        .sum();
    known && (13..=19).contains(&digits.len()) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests;
