//! What is looked for: the trigger words, what each announces, and where a value ends.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::Regex;

use super::PLACEHOLDER_START;
use super::visible::HINTS;

/// What a trigger word announces.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// The name of a secret.
    Name(Name),
    /// A scheme of authorization that is known wherever it stands.
    Scheme(&'static str),
    /// A token that is told by how it starts, given at least so many more characters.
    Token(Token),
    /// What follows tells a pattern; of it the group `secret` goes.
    Then(&'static str, &'static LazyLock<Regex>),
    /// A token that is told by what stands inside it.
    Inside(Inside),
    /// Of a program's command line: the value that follows the pattern goes.
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
    /// Something may be spelled otherwise than it is shown.
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
    /// The same, but a path is the working directory: `PWD=/home/app`.
    Path,
    /// The same, but a plain word or a short number is not a key: `routing_key=orders.created`.
    Key,
    /// A whole word, and only the last of a name; a short number is not a secret: `pw: 12`.
    Word,
    /// Such a word, before a few digits.
    Digits,
    /// Such a word, before twelve words or a long random one.
    Phrase,
    /// Only the last word of a name, before something random.
    Session,
    /// Only as the last word of a name; a short number is not a secret: `pass: 12`.
    Pass,
    /// A scheme may stand before the credential.
    Auth,
    /// `name=value` pairs, of which the values go.
    Cookie,
    /// One such pair; the attributes behind it stay.
    SetCookie,
}

#[derive(Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: &'static str,
    pub(super) start: &'static str,
    pub(super) least: usize,
    pub(super) body: Body,
}

/// `mark` behind at least so many characters, and before at least so many others.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    pub(super) kind: &'static str,
    pub(super) mark: &'static str,
    pub(super) before: (usize, Body),
    pub(super) behind: (usize, Body),
}

#[derive(Clone, Copy)]
pub(super) enum Body {
    Word,
    Hex,
    Base64,
    Digit,
    Tilde,
}

impl Body {
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Body::Word => byte.is_ascii_alphanumeric() || b"_-.".contains(&byte),
            Body::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Body::Base64 => byte.is_ascii_alphanumeric() || b"/+=%_-".contains(&byte),
            Body::Digit => byte.is_ascii_digit(),
            Body::Tilde => byte.is_ascii_alphanumeric() || b"_-.~".contains(&byte),
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

/// The control characters but for those that are blanks.
fn controls() -> impl Iterator<Item = (Vec<u8>, Rule)> {
    (0..b' ').filter(|byte| !(b'\t'..=b'\r').contains(byte)).map(|byte| (vec![byte], Rule::Hint))
}

pub(super) fn names() -> Vec<(String, Rule)> {
    use Style::{Auth, Cookie, Digits, Pass, Path, Phrase, Plain, Session, SetCookie, Word};
    let spaced = ["identified by", "mot de passe"];
    let mut names: Vec<_> =
        spaced.map(|word| (word.to_owned(), Rule::Name(Name { kind: "password", style: Plain }))).into();
    names.push(("session id".into(), Rule::Name(Name { kind: "session", style: Session })));
    for (kind, style, words) in [
        ("password", Plain, "password passwd passphrase passcode passwort pswd kennwort senha contrasena motdepasse"),
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
    use Body::{Base64, Digit, Hex, Tilde, Word};
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
        ("%3A%2F%2F", Rule::Then("url-password", &ENCODED_PASSWORD)),
        ("sig=", Rule::Then("signature", &SIGNATURE)),
        ("signature=", Rule::Then("signature", &SIGNATURE)),
        ("code=4/", Rule::Then("auth-code", &GOOGLE_CODE)),
        ("code=4%2F", Rule::Then("auth-code", &GOOGLE_CODE)),
        ("access_token$", Rule::Then("token", &BRAINTREE)),
        ("AAAAAAAAAAAAAAAAAAAAAA", Rule::Then("twitter-token", &TWITTER)),
        ("pat", Rule::Airtable),
        ("@tcp(", Rule::Dsn),
        ("@unix(", Rule::Dsn),
        ("jdbc:oracle:", Rule::Then("url-password", &ORACLE)),
        ("sqlplus", Rule::Then("password", &SQLPLUS)),
        ("machine", Rule::Then("password", &NETRC)),
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
        ("hooks.slack", Rule::Then("slack-webhook", &SLACK_WEBHOOK)),
        ("/api/webhooks", Rule::Then("webhook", &WEBHOOK)),
        ("/webhookb2", Rule::Then("webhook", &WEBHOOK)),
    ]
    .map(|(word, rule)| (word.to_owned(), rule))
    .into();
    for (kind, least, body, starts) in [
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
        ("notion-token", 40, Word, "ntn_"),
        ("doppler-token", 40, Word, "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit."),
        ("facebook-token", 40, Word, "EAAC EAAB EAAD EAAG EAAJ EAAM"),
        ("private-key", 40, Word, "AGE-SECRET-KEY-1"),
        ("token", 32, Hex, "dapi dop_v1_ doo_v1_ shpat_ shpss_ shpca_ key-"),
    ] {
        let rule = |start| Rule::Token(Token { kind, start, least, body });
        shapes.extend(starts.split(' ').map(|start| (start.into(), rule(start))));
    }
    for (kind, before, marks, behind) in [
        ("telegram-token", (8, Digit), ":AA", (33, Word)),
        ("azure-secret", (4, Tilde), "Q~", (31, Tilde)),
        ("newrelic-key", (36, Hex), "NRAL", (0, Digit)),
        ("mailchimp-key", (32, Hex), "-us1 -us2 -us3 -us4 -us5 -us6 -us7 -us8 -us9", (0, Digit)),
    ] {
        let rule = |mark| Rule::Inside(Inside { kind, mark, before, behind });
        shapes.extend(marks.split(' ').map(|mark| (mark.into(), rule(mark))));
    }
    let ldap = ["search", "modify", "add", "delete", "whoami", "passwd"];
    shapes.extend(ldap.map(|verb| (format!("ldap{verb}"), Rule::Command(&FLAG_W))));
    // A word that is so short is one only behind something that ends another.
    shapes.extend([" ", "\t", "=", ":", "/", "\"", "'"].map(|before| (format!("{before}s."), Rule::Vault)));
    shapes
}

macro_rules! patterns {
    ($($name:ident = $pattern:expr;)*) => {$(
        pub(super) static $name: LazyLock<Regex> = LazyLock::new(|| {
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
    // A quote that closes what the name stands in, not one that opens a value: `"password:","x"`.
    NO_OPENING = r#"^\\*["'`]\s*(?:[,:}\])]+(?:\s*(?:\\*["'`]|[\[{}\])0-9])|[\x20\t]*(?:[\r\n]|$))|$)"#;
    QUOTED = r#"(?x)^(?:'([^\s,:;)}\]\\"'](?:[^'\n]|''){0,200})'
        |"([^\s,:;)}\]\\"'][^"\n]{0,200})")"#;
    NESTED = r#"^\{\s*(?:\\*["'`]|\}|$|[A-Za-z_][A-Za-z0-9_.-]{0,63}\s*[=:])"#;
    BLOCK = r"^[|>][+-]?[0-9]?[\x20\t]*\r?\n(?<indent>[\x20\t]+)";
    SCHEME = r#"(?i)^(?<lead>(?<scheme>[a-z][a-z0-9_-]{1,30})(?:[\x20\t]+|%20|\+))[^\s"'`\\=:]"#;
    PAIR = r"^[A-Za-z0-9_.$-]{1,64}=[^=\s;]";
    NEXT_COOKIE = r#"^["']?;[\x20\t]*[A-Za-z0-9_.$-]{1,64}="#;
    NEXT_PARAMETER = r#"^\\*"?,[\x20\t]*[A-Za-z0-9_.$-]{1,64}="#;
    // Of these, the first four tell something only if the value ends behind them.
    NOTHING = r"(?i)^(?:null|none|nil|undefined|true|false|\(null\)|<nil>|\?|\$[0-9]{1,2}|%s|\*{3,})";
    STATUS = r#"(?ix)^(?:ok|success|failed|failure|error|denied|expired|missing|invalid|valid|required
        |disabled|enabled|present|unknown|empty|unset|set|basic|bearer|jwt|authenticated|successful|simple|[^\pL\pN\s"'`\\\[({]{1,8})"#;
    // What is said of a password that is none of it.
    PASSWORD_STATUS = "(?i)^(?:required|missing|expired|incorrect|invalid|mismatch|unset)";
    ERROR_NAME = "^(?:NoSuch(?:[A-Z][a-z]+){1,4}|(?:[A-Z][a-z]+){1,6}(?:Error|Exception|Found|Denied|Expired|Failed|Mismatch))";
    PATH = r"^(?:~?/|\.{1,2}/|[A-Za-z]:[\\/])[A-Za-z0-9._/\\~-]*";
    TAG = r"^(?:v?[0-9]+(?:\.[0-9]+){1,3}(?:[-+][A-Za-z0-9.]{1,30})?|latest|stable|edge|main|master|nightly)";
    // How Java and Android print an object: `Token{de9231d u0 …}`, `Binder@2e45a2c`.
    OBJECT = r"^(?:[A-Z][A-Za-z]{2,40}\{[0-9a-f]{5,8}[\s}]|[A-Z][A-Za-z]{2,40}[\x20]\{[\x20]kind:|[A-Za-z_.$]{3,80}@[0-9a-f]{5,8}\b)";
    // How a mechanism is named: `(auth:SIMPLE)`.
    ONE_CASE = r#"^(?:[a-z]{1,12}|[A-Z]{1,12})(?:[\s)\],;"']|$)"#;
    PLAIN_KEY = "^(?:[a-z]+(?:[._/-][a-z0-9]+)+|[0-9]{1,5})";
    SECRET_NAMES = r"^[a-z0-9_-]+(?:/[a-z0-9_.-]+)+[,\]]";
    UUID = "(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    DIGITS = r"^(?:[0-9]{3,12}|[A-Za-z0-9]{4,10})\b";
    SESSION = "^[A-Za-z0-9!%_.+/~-]{8,256}";
    PHRASE = "^[a-z]{3,8}(?:(?:,[\x20]?|[\x20])[a-z]{3,8}){11,23}";
    // A password of several words, if nothing else follows.
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
    PLACE = "^[0-9]{1,5}(?::[0-9]{1,5})*";
    PORT = "^[0-9]{1,5}[/?]";
    MASKED = r"(?ix)^[\[<({]{1,2}(?:redacted|filtered|masked|hidden|removed|omitted|protected)
        (?:[\x20:_-][a-z_-]{1,20})?[\]>)}]{1,2}(?:[^a-z0-9]|$)";
    PROSE = r"^[A-Za-z]+(?:'[a-z]+)?,?[\x20\t]\(?[a-z]+(?:[\s.,;!?)]|$)";
    MARKER = r"^\[[A-Z]+\](?:\s|$)";
    BRIDGE = r"^(?:is|was|or|and|must|may|can|can't|does|not|no|too|flag|option|cannot|should|has|to|for|in)[.,;]?(?:\s|$)";
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

/// Where a bare value ends though no blank follows: at punctuation that makes sense as an end, with nothing but more of
/// it before the blank, or a quote with structure behind it, or the next name. Other punctuation is part of the value.
pub(super) fn end_before(separator: &str) -> String {
    let last = r#"[,:;&|)\]}>"'`\\]+(?:[\x00-\x20]|$)"#;
    let quote = r#"[)\]}>]*\\*["'`][\\"'`]*(?:[,:;)\]}>]|\\+[nrt]|[.?!]+(?:\s|$))"#;
    let joint = r#"(?:&amp;|[,;&|)\]}>{(\["'`]|\\+(?:["'`nrt]|u0026)){1,8}"#;
    let name = r#"[A-Za-z_][A-Za-z0-9_.-]{0,63}[\\"'`\]]*[\x20\t]*"#;
    format!("^(?:{last}|{quote}|{joint}{name}{separator})")
}

/// The punctuation at which it is asked, once for each run.
pub(super) const SOFT: &[u8] = b",:;&|)]}>\"'`\\";
pub(super) const SOFT_RUN: &[u8] = b",:;&|)]}>\"'`\\{([";

/// After these, joined by an underscore, a name no longer names a secret: `token_count`.
pub(super) const ABOUT_IT: &str = "age alg algorithm arn at attempts bucket budget cache changed class count \
    counter created disabled enabled endpoint error errors event exists exp expired expires \
    expiration expiry field file format found host id ids index invalid issuer kind label len \
    length limit manager max method min missing mode ms name names path policy port present \
    prompt provider rate ref required reset retries rotated rotation scheme scope scopes seconds \
    service set size source state status store strength time timestamp total ttl type updated uri \
    url usage used user username valid validity version";

/// After these, joined in any way, it still does: `secretKey`, `PASSWORD-HASH`. All else that is joined otherwise than by
/// an underscore, does not: `TokenExpiredException`, `secretary`, `token-service`, `password.rs`.
pub(super) const STILL_IT: &str = "admin base binary bytes code confirm confirmation current data dev encoded \
    encrypted hash header key live new old plain plaintext primary prod raw root salt secondary \
    staging str string test text val value";

/// Before `token`, these tell that it is no secret: it marks a page, or makes a request unique.
pub(super) const PLACE_OR_REQUEST: &str = "next page clientrequest client_request client-request sync idempotency \
    idempotence continuation pagination cursor scroll";

/// Words of ordinary sentences, which are no part of a password.
pub(super) const OF_SENTENCES: &str = "a an and are as at be been but by can cannot changed did do does expired failed \
    for from has have if in incorrect invalid is it mismatch missing must no not of on or reset should so that the \
    their this to too updated user was were which will wrong with you your";

pub(super) fn lists(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|listed| listed == word)
}

impl Name {
    /// Whether it still names a secret with `rest` behind it, and if so, whether several.
    pub(super) fn with(self, rest: &str) -> Option<bool> {
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
                // The `secret_id` of Vault is one.
                ("_", Style::Plain | Style::Path | Style::Key) if part == "id" => self.kind == "secret",
                ("_", Style::Plain | Style::Path | Style::Key) => !lists(ABOUT_IT, &part),
                _ => lists(STILL_IT, &part),
            };
            if !fits {
                return None;
            }
        }
        Some(plural)
    }
}
