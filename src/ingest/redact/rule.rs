//! The rules: the trigger words, what follows each of them, and the patterns around values.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::Regex;

use super::PLACEHOLDER_START;
use super::visible::HINTS;

/// The meaning of a trigger word.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// The name of a secret.
    Name(Name),
    /// An authorization scheme that is recognized without a name before it.
    Scheme(&'static str),
    /// A token with a known prefix.
    Token(Token),
    /// The text after the word matches a pattern, whose group `secret` is redacted.
    FollowedBy(&'static str, &'static LazyLock<Regex>),
    /// A token with known text in the middle.
    Infix(Infix),
    /// A command line: the value after the pattern is redacted.
    Command(&'static LazyLock<Regex>),
    Jwt,
    AwsKey,
    Airtable,
    Vault,
    Dsn,
    PrivateKey,
    PrivateKeyEnd,
    Putty,
    Url,
    Placeholder,
    /// There may be invisible text or an encoded character.
    Hint,
}

#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) kind: &'static str,
    pub(super) style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// Except that a path is a working directory: `PWD=/home/app`.
    Path,
    /// Except that a plain word or a short number is not a key: `routing_key=orders.created`.
    Key,
    /// A whole word at the end of a name. A short number is not a secret: `pw: 12`.
    Word,
    /// A whole word at the end of a name, and a few digits as the value.
    Digits,
    /// A whole word at the end of a name, and twelve words or a long random word as the value.
    Phrase,
    /// The end of a name, and a random value.
    Session,
    /// The end of a name. A short number is not a secret: `pass: 12`.
    Pass,
    /// A scheme may precede the credential.
    Auth,
    /// `name=value` pairs, whose values are redacted.
    Cookie,
    /// One such pair; the attributes after it are kept.
    SetCookie,
}

#[derive(Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: &'static str,
    pub(super) prefix: &'static str,
    /// The least number of characters after the prefix, all of `charset`.
    pub(super) len_min: usize,
    pub(super) charset: Charset,
}

/// `infix` between other characters: at least so many before it, and at least so many after it.
#[derive(Clone, Copy)]
pub(super) struct Infix {
    pub(super) kind: &'static str,
    pub(super) infix: &'static str,
    pub(super) before: (usize, Charset),
    pub(super) after: (usize, Charset),
}

#[derive(Clone, Copy)]
pub(super) enum Charset {
    Word,
    Hex,
    Base64,
    Digit,
    Tilde,
}

impl Charset {
    pub(super) fn contains(self, byte: u8) -> bool {
        match self {
            Charset::Word => byte.is_ascii_alphanumeric() || b"_-.".contains(&byte),
            Charset::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Charset::Base64 => byte.is_ascii_alphanumeric() || b"/+=%_-".contains(&byte),
            Charset::Digit => byte.is_ascii_digit(),
            Charset::Tilde => byte.is_ascii_alphanumeric() || b"_-.~".contains(&byte),
        }
    }
}

pub(super) struct Triggers {
    pub(super) words: AhoCorasick,
    pub(super) rules: Vec<Rule>,
}

pub(super) static TRIGGERS: LazyLock<Triggers> = LazyLock::new(|| {
    let hints = HINTS.iter().map(|hint| (hint.to_vec(), Rule::Hint));
    let words = names().into_iter().chain(shapes()).map(|(word, rule)| (word.into_bytes(), rule));
    let (words, rules): (Vec<Vec<u8>>, Vec<Rule>) = words.chain(controls()).chain(hints).unzip();
    let words = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .build(words)
        .expect("invariant: a few hundred short words fit an automaton");
    Triggers { words, rules }
});

/// The control characters, except white space.
fn controls() -> impl Iterator<Item = (Vec<u8>, Rule)> {
    (0..b' ').filter(|byte| !(b'\t'..=b'\r').contains(byte)).map(|byte| (vec![byte], Rule::Hint))
}

pub(super) fn names() -> Vec<(String, Rule)> {
    use Style::{Auth, Cookie, Digits, Pass, Path, Phrase, Plain, Session, SetCookie, Word};
    let spaced = ["identified by", "mot de passe"];
    let mut names: Vec<_> = spaced
        .map(|word| (word.to_owned(), Rule::Name(Name { kind: "password", style: Plain })))
        .into();
    names.push(("session id".into(), Rule::Name(Name { kind: "session", style: Session })));
    for (kind, style, words) in [
        (
            "password",
            Plain,
            "password passwd passphrase passcode passwort pswd kennwort senha contrasena motdepasse",
        ),
        (
            "password",
            Plain,
            "contraseña CONTRASEÑA mot_de_passe mot-de-passe пароль Пароль ПАРОЛЬ 密码 密碼 パスワード",
        ),
        ("password", Path, "pwd"),
        ("password", Pass, "pass"),
        ("password", Word, "pw psw psk"),
        ("pin", Digits, "pin otp cvv cvc"),
        ("seed", Phrase, "seed mnemonic"),
        ("session", Session, "jsessionid phpsessid sessionid session_id session-id"),
        ("secret", Plain, "secret"),
        ("token", Plain, "token"),
        ("credential", Plain, "credential"),
        ("signature", Plain, "x-amz-signature x-goog-signature"),
        ("aws-secret", Plain, "secretaccesskey secret_access_key secret-access-key"),
        ("auth", Auth, "auth authorization"),
        ("cookie", Cookie, "cookie"),
        ("cookie", SetCookie, "set-cookie"),
    ] {
        names.extend(words.split(' ').map(|word| (word.into(), Rule::Name(Name { kind, style }))));
    }
    for (kind, style, words) in [
        ("api-key", Plain, "api"),
        ("private-key", Plain, "private"),
        ("key", Plain, "access admin aes encryption master signing"),
        ("key", Style::Key, "account integration routing service"),
    ] {
        let rule = Rule::Name(Name { kind, style });
        for word in words.split(' ') {
            names.extend(["", "_", "-", ".", " "].map(|joint| (format!("{word}{joint}key"), rule)));
        }
    }
    names
}

pub(super) fn shapes() -> Vec<(String, Rule)> {
    use Charset::{Base64, Digit, Hex, Tilde, Word};
    let mut shapes: Vec<_> = [
        (PLACEHOLDER_START, Rule::Placeholder),
        ("-----BEGIN", Rule::PrivateKey),
        ("-----END", Rule::PrivateKeyEnd),
        ("Private-Lines", Rule::Putty),
        ("AKIA", Rule::AwsKey),
        ("ASIA", Rule::AwsKey),
        ("eyJ", Rule::Jwt),
        ("://", Rule::Url),
        (r":\/\/", Rule::Url),
        ("%3A%2F%2F", Rule::FollowedBy("url-password", &ENCODED_PASSWORD)),
        ("sig=", Rule::FollowedBy("signature", &SIGNATURE)),
        ("signature=", Rule::FollowedBy("signature", &SIGNATURE)),
        ("code=4/", Rule::FollowedBy("auth-code", &GOOGLE_CODE)),
        ("code=4%2F", Rule::FollowedBy("auth-code", &GOOGLE_CODE)),
        ("access_token$", Rule::FollowedBy("token", &BRAINTREE)),
        ("AAAAAAAAAAAAAAAAAAAAAA", Rule::FollowedBy("twitter-token", &TWITTER)),
        ("pat", Rule::Airtable),
        ("@tcp(", Rule::Dsn),
        ("@unix(", Rule::Dsn),
        ("jdbc:oracle:", Rule::FollowedBy("url-password", &ORACLE)),
        ("sqlplus", Rule::FollowedBy("password", &SQLPLUS)),
        ("machine", Rule::FollowedBy("password", &NETRC)),
        ("curl", Rule::Command(&CURL_USER)),
        ("mysql", Rule::Command(&FLAG_P_GLUED)),
        ("mariadb", Rule::Command(&FLAG_P_GLUED)),
        ("mongosh", Rule::Command(&FLAG_P)),
        ("mongodump", Rule::Command(&FLAG_P)),
        ("mongorestore", Rule::Command(&FLAG_P)),
        ("sshpass", Rule::Command(&FLAG_P)),
        ("docker login", Rule::Command(&FLAG_P)),
        ("podman login", Rule::Command(&FLAG_P)),
        ("registry login", Rule::Command(&FLAG_P)),
        ("redis-cli", Rule::Command(&FLAG_A)),
        ("bearer", Rule::Scheme("bearer")),
        ("basic", Rule::Scheme("basic-auth")),
        ("hooks.slack", Rule::FollowedBy("slack-webhook", &SLACK_WEBHOOK)),
        ("/api/webhooks", Rule::FollowedBy("webhook", &WEBHOOK)),
        ("/webhookb2", Rule::FollowedBy("webhook", &WEBHOOK)),
    ]
    .map(|(word, rule)| (word.to_owned(), rule))
    .into();
    for (kind, len_min, charset, prefixes) in [
        ("github-token", 16, Word, "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_"),
        ("gitlab-token", 16, Word, "glpat- gldt- glrt- glptt- glcbt- glsoat- glft-"),
        (
            "slack-token",
            8,
            Word,
            "xoxa- xoxb- xoxc- xoxd- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs- xapp-",
        ),
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
        ("notion-token", 40, Word, "ntn_"),
        ("doppler-token", 40, Word, "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit."),
        ("facebook-token", 40, Word, "EAAC EAAB EAAD EAAG EAAJ EAAM"),
        ("private-key", 40, Word, "AGE-SECRET-KEY-1"),
        ("token", 32, Hex, "dapi dop_v1_ doo_v1_ shpat_ shpss_ shpca_ key-"),
    ] {
        let rule = |prefix| Rule::Token(Token { kind, prefix, len_min, charset });
        shapes.extend(prefixes.split(' ').map(|prefix| (prefix.into(), rule(prefix))));
    }
    for (kind, before, infixes, after) in [
        ("telegram-token", (8, Digit), ":AA", (33, Word)),
        ("azure-secret", (4, Tilde), "Q~", (31, Tilde)),
        ("newrelic-key", (36, Hex), "NRAL", (0, Digit)),
        ("mailchimp-key", (32, Hex), "-us1 -us2 -us3 -us4 -us5 -us6 -us7 -us8 -us9", (0, Digit)),
    ] {
        let rule = |infix| Rule::Infix(Infix { kind, infix, before, after });
        shapes.extend(infixes.split(' ').map(|infix| (infix.into(), rule(infix))));
    }
    let ldap = ["search", "modify", "add", "delete", "whoami", "passwd"];
    shapes.extend(ldap.map(|verb| (format!("ldap{verb}"), Rule::Command(&FLAG_W))));
    // So short a word counts only after the end of another one.
    shapes.extend(
        [" ", "\t", "=", ":", "/", "\"", "'"].map(|before| (format!("{before}s."), Rule::Vault)),
    );
    shapes
}

macro_rules! patterns {
    ($($name:ident = $pattern:expr;)*) => {$(
        pub(super) static $name: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new($pattern).expect("invariant: the built-in patterns are regular expressions")
        });
    )*};
}

// All but the first two are anchored: they match the text that follows, or fail at once.
patterns! {
    PLACEHOLDER = r"\[redacted:[a-z-]+\]";
    NAME_PARTS = "(?<joint>[_.-]*)(?:[0-9]+|(?<part>[A-Z]?[a-z]+|[A-Z]+))";
    LINK = r#"(?xi-u)^(?:
        (?<close>(?:\\*["'`]|\[[a-z0-9_]{0,16}\]|[\])]|%(?:25){0,3}(?:22|27|5d)|&quot;
            |\\{1,7}(?:u0022|x22)){0,4})
        (?<gap>[\x20\t]*)
        (?<sep>=>|={1,3}|:=|:{1,2}|!=|%(?:25){0,3}3[ad]|\\{1,7}u003[ad]|(?:is|was):
            |(?:,|\s)\s*["'\\]*value["'\\]*\s*[:=])
        (?<space>[\x20\t]*)
      | \\*["'](?:;[\x20-\[\]-~]{0,80})?
            (?<part>(?:(?:\r?\n|(?:\\{1,7}r)?\\{1,7}n)[a-z-]{1,40}:[\x20-\[\]-~]{0,80}){0,3}
            (?:(?:\r?\n){2}|(?:(?:\\{1,7}r)?\\{1,7}n){2}))
      | (?<weak>[\x20]*(?:->|→)[\x20]*|[|,]|\t+)
      | [\x20\t]+(?<is>is|was)[\x20\t]+
      | (?<item>\\*["'],)?[\x20\t]*)"#;
    OPENING = r#"(?x)^(?:[A-Za-z]{1,30}\()*[&@*$]?[bBuU]?[rR]?
        (?<quote>\\*["'`]|%(?:25){0,3}2[27]|&quot;|&\#3[49];|\\{1,7}(?:u002[27]|x2[27])|“|‘)"#;
    // A quote that closes the text of the name, and opens no value: `"password:","x"`.
    NO_OPENING = r#"^\\*["'`]\s*(?:[,:}\])]+(?:\s*(?:\\*["'`]|[\[{}\])0-9])|[\x20\t]*(?:[\r\n]|$))|$)"#;
    QUOTED = r#"(?x)^(?:'([^\s,:;)}\]\\"'](?:[^'\n]|''){0,200})'
        |"([^\s,:;)}\]\\"'][^"\n]{0,200})")"#;
    NESTED = r#"^\{\s*(?:\\*["'`]|\}|$|[A-Za-z_][A-Za-z0-9_.-]{0,63}\s*[=:])"#;
    BLOCK = r"^[|>][+-]?[0-9]?[\x20\t]*\r?\n(?<indent>[\x20\t]+)";
    SCHEME = r#"(?i)^(?<lead>(?<scheme>[a-z][a-z0-9_-]{1,30})(?:[\x20\t]+|%20|\+))[^\s"'`\\=:]"#;
    PAIR = r"^[A-Za-z0-9_.$-]{1,64}=[^=\s;]";
    NEXT_COOKIE = r#"^["']?;[\x20\t]*[A-Za-z0-9_.$-]{1,64}="#;
    NEXT_PARAMETER = r#"^\\*"?,[\x20\t]*[A-Za-z0-9_.$-]{1,64}="#;
    // Values that are not secrets, if nothing follows.
    NULL = r"(?i)^(?:null|none|nil|undefined|true|false|\(null\)|<nil>|\?|\$[0-9]{1,2}|%s|\*{3,})";
    STATUS = r#"(?ix)^(?:ok|success|failed|failure|error|denied|expired|missing|invalid|valid|required
        |disabled|enabled|present|unknown|empty|unset|set|basic|bearer|jwt|authenticated|successful|simple|[^\pL\pN\s"'`\\\[({]{1,8})"#;
    // Words about a password.
    PASSWORD_STATUS = "(?i)^(?:required|missing|expired|incorrect|invalid|mismatch|unset)";
    ERROR_NAME = "^(?:NoSuch(?:[A-Z][a-z]+){1,4}|(?:[A-Z][a-z]+){1,6}(?:Error|Exception|Found|Denied|Expired|Failed|Mismatch))";
    PATH = r"^(?:~?/|\.{1,2}/|[A-Za-z]:[\\/])[A-Za-z0-9._/\\~-]*";
    TAG = r"^(?:v?[0-9]+(?:\.[0-9]+){1,3}(?:[-+][A-Za-z0-9.]{1,30})?|latest|stable|edge|main|master|nightly)";
    // An object as printed by Java and Android: `Token{de9231d u0 …}`, `Binder@2e45a2c`.
    OBJECT = r"^(?:[A-Z][A-Za-z]{2,40}\{[0-9a-f]{5,8}[\s}]|[A-Z][A-Za-z]{2,40}[\x20]\{[\x20]kind:|[A-Za-z_.$]{3,80}@[0-9a-f]{5,8}\b)";
    // The name of a mechanism: `(auth:SIMPLE)`.
    ONE_CASE = r#"^(?:[a-z]{1,12}|[A-Z]{1,12})(?:[\s)\],;"']|$)"#;
    PLAIN_KEY = "^(?:[a-z]+(?:[._/-][a-z0-9]+)+|[0-9]{1,5})";
    SECRET_NAMES = r"^[a-z0-9_-]+(?:/[a-z0-9_.-]+)+[,\]]";
    UUID = "(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    DIGITS = r"^(?:[0-9]{3,12}|[A-Za-z0-9]{4,10})\b";
    SESSION = "^[A-Za-z0-9!%_.+/~-]{8,256}";
    PHRASE = "^[a-z]{3,8}(?:(?:,[\x20]?|[\x20])[a-z]{3,8}){11,23}";
    // A password of several words, if it ends the line.
    WORDS = r#"^[a-z]{2,12}(?:[\x20][a-z]{2,12}){2,15}[\x20\t]*(?:[\r\n"\\]|$)"#;
    NEXT_LINE = r#"(?x)^[\x20\t]*(?:\r?\n|\\{1,7}n)(?<indent>[\x20\t]*)
        (?<secret>[^\s\\"-][^\s\\"]{0,255})[\x20\t]*(?:\r?\n|[\\"]|$)"#;
    REDIS_AUTH = r#"(?x)^(?:\\*"[\x20]+)?[\x20]*(?:(?:[a-z][a-z0-9_-]{0,30}|PLAIN|LOGIN)[\x20]+)?
        (?<quoted>\\*")?(?<secret>[^\s"'\\]{4,128})"#;
    GOOGLE_CODE = "^(?<secret>[A-Za-z0-9_-]{10,})";
    BRAINTREE = r"^(?:production|sandbox)\$[a-z0-9]{16}\$(?<secret>[0-9a-f]{32})";
    TWITTER = "^(?<secret>[A-Za-z0-9]{0,40}%[A-Za-z0-9%]{30,80})";
    PUTTY = r"^:[\x20]*[0-9]{1,3}(?:\r?\n|(?:\\+r)?\\+n)";
    LINE_BREAK = r"^(?:\r?\n|(?:\\{1,7}r)?\\{1,7}n)";
    ORACLE = r#"^(?:thin|oci8?):[^\s/@"']{1,64}/(?<secret>[^\s"'@]{1,200})@"#;
    SQLPLUS = r#"^[\x20]+(?:-[!-~]{1,20}[\x20]+){0,4}[^\s/@"']{1,64}/(?<secret>[^\s"'@]{1,200})@"#;
    NETRC = r"^\s+[!-~]{1,100}\s+login\s+[!-~]{1,100}\s+password\s+(?<secret>[^\s]+)";
    CURL_USER = r#"[\s"'](?:-[uU]|--user|--proxy-user)[\s"',\\=]*[^\s:"',/\\-][^\s:"',/\\]{0,63}:"#;
    FLAG_P_GLUED = r#"[\s"']-p"#;
    FLAG_P = r#"[\s"']-p(?:["'\\]*,?[\s]*["'\\]*,["'\\]*|[\x20]*)"#;
    FLAG_A = r#"[\s"'](?:-a|--pass)(?:["'\\]+,[\x20]*["'\\]*|[\x20=]+)"#;
    FLAG_W = r#"[\s"']-w(?:["'\\]+,[\x20]*["'\\]*|[\x20]*)"#;
    NUMBER = "^[0-9][0-9.,_/]*[kKmM%]?";
    LINE_OR_PORT = "^[0-9]{1,5}(?::[0-9]{1,5})*";
    PORT = "^[0-9]{1,5}[/?]";
    MASKED = r"(?ix)^[\[<({]{1,2}(?:redacted|filtered|masked|hidden|removed|omitted|protected)
        (?:[\x20:_-][a-z_-]{1,20})?[\]>)}]{1,2}(?:[^a-z0-9]|$)";
    PROSE = r"^[A-Za-z]+(?:'[a-z]+)?,?[\x20\t]\(?[a-z]+(?:[\s.,;!?)]|$)";
    MARKER = r"^\[[A-Z]+\](?:\s|$)";
    SENTENCE_WORD = r"^(?:is|was|or|and|must|may|can|can't|does|not|no|too|flag|option|cannot|should|has|to|for|in)[.,;]?(?:\s|$)";
    BEARER = r"^(?:[\x20\t]+|%20)(?<secret>[A-Za-z0-9._~+/=-]{1,64})";
    AWS_ID = "^A[KS]IA[A-Z0-9]{16}(?:[^A-Za-z0-9]|$)";
    AWS_SECRET = r"(?x)^[^A-Za-z0-9/+]{1,8}(?:[A-Za-z]{1,24}[^A-Za-z0-9/+]{1,8}){0,3}
        (?<secret>[A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+]|$)";
    ENCODED_PASSWORD = r#"(?i)^[^\s%/"'&]*%3A(?<secret>(?:[^\s"'&/%]|%[0-9a-f][0-9a-e]){1,200}?)%40"#;
    SIGNATURE = "^(?<secret>[A-Za-z0-9%+/_=-]{20,})";
    SLACK_WEBHOOK = r"(?ix)^(?:-gov)?\.com(?:\\*/|%2F)(?:services|workflows|triggers)
        (?:\\*/|%2F)(?<secret>(?:[A-Za-z0-9_%=+~@-]|\\*/)+)";
    WEBHOOK = r"(?i)^(?:\\*/|%2F)(?<secret>(?:[A-Za-z0-9_%=+~@-]|\\*/)+)";
    PEM = r"^-----BEGIN[A-Z0-9\x20+%_]*PRIVATE(?:[\x20+_]|%20)KEY[A-Z0-9\x20+%_]*-----";
    PEM_KEY_END = r"^-----END[A-Z0-9\x20+%_]*PRIVATE(?:[\x20+_]|%20)KEY[A-Z0-9\x20+%_]*(?:-----)?";
    PEM_END = r"^-----END[A-Z0-9\x20+%_]*(?:-----)?";
    BEFORE_EQUALS = &end_before("=");
    BEFORE_COLON = &end_before(":");
}

/// The end of an unquoted value without a space after it: punctuation before a space, a quote
/// before a delimiter, or punctuation before the next name. Other punctuation is part of the value.
pub(super) fn end_before(separator: &str) -> String {
    let last = r#"[,:;&|)\]}>"'`\\]+(?:[\x00-\x20]|$)"#;
    let quote = r#"[)\]}>]*\\*["'`][\\"'`]*(?:[,:;)\]}>]|\\+[nrt]|[.?!]+(?:\s|$))"#;
    let joint = r#"(?:&amp;|[,;&|)\]}>{(\["'`]|\\+(?:["'`nrt]|u0026)){1,8}"#;
    let name = r#"[A-Za-z_][A-Za-z0-9_.-]{0,63}[\\"'`\]]*[\x20\t]*"#;
    format!("^(?:{last}|{quote}|{joint}{name}{separator})")
}

/// The punctuation at which a value may end, tested once for each run of it.
pub(super) const SOFT: &[u8] = b",:;&|)]}>\"'`\\";
pub(super) const SOFT_RUN: &[u8] = b",:;&|)]}>\"'`\\{([";

/// With one of these after an underscore, a name is not that of a secret: `token_count`.
pub(super) const NOT_SECRET_PARTS: &str = "age alg algorithm arn at attempts bucket budget cache changed class count \
    counter created disabled enabled endpoint error errors event exists exp expired expires \
    expiration expiry field file format found host id ids index invalid issuer kind label len \
    length limit manager max method min missing mode ms name names path policy port present \
    prompt provider rate ref required reset retries rotated rotation scheme scope scopes seconds \
    service set size source state status store strength time timestamp total ttl type updated uri \
    url usage used user username valid validity version";

/// With one of these joined in any way, a name is still that of a secret: `secretKey`,
/// `PASSWORD-HASH`. With another part that is not joined by an underscore, it is not:
/// `TokenExpiredException`, `secretary`, `token-service`, `password.rs`.
pub(super) const SECRET_PARTS: &str = "admin base binary bytes code confirm confirmation current data dev encoded \
    encrypted hash header key live new old plain plaintext primary prod raw root salt secondary \
    staging str string test text val value";

/// Before `token`, these mean a page or a request, not a secret.
pub(super) const PAGE_OR_REQUEST: &str = "next page clientrequest client_request client-request sync idempotency \
    idempotence continuation pagination cursor scroll";

/// Words of ordinary sentences, which are not part of a password.
pub(super) const SENTENCE_WORDS: &str = "a an and are as at be been but by can cannot changed did do does expired failed \
    for from has have if in incorrect invalid is it mismatch missing must no not of on or reset should so that the \
    their this to too updated user was were which will wrong with you your";

pub(super) fn lists(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|listed| listed == word)
}

impl Name {
    /// With `rest` after it in the same name: whether it is a plural, or `None` if it is not the
    /// name of a secret.
    pub(super) fn is_plural_with(self, rest: &str) -> Option<bool> {
        let mut plural = false;
        for (n, parts) in NAME_PARTS.captures_iter(rest).enumerate() {
            let Some(part) = parts.name("part") else {
                continue;
            };
            let part = part.as_str().to_ascii_lowercase();
            let fits = match (&parts["joint"], self.style) {
                (_, Style::Pass | Style::Word | Style::Session) => false,
                (_, Style::Digits) => lists("code value", &part),
                (_, Style::Phrase) => lists("phrase words", &part),
                ("", _) if n == 0 && part == "s" => {
                    plural = true;
                    continue;
                }
                _ if plural => false,
                // Vault's `secret_id` is a secret.
                ("_", Style::Plain | Style::Path | Style::Key) if part == "id" => {
                    self.kind == "secret"
                }
                ("_", Style::Plain | Style::Path | Style::Key) => !lists(NOT_SECRET_PARTS, &part),
                _ => lists(SECRET_PARTS, &part),
            };
            if !fits {
                return None;
            }
        }
        Some(plural)
    }
}
