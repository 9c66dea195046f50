//! The kinds of rules, and the patterns around values.

use std::sync::LazyLock;

use regex::Regex;

use super::word::lists;

/// The meaning of a trigger word. A number is the place of the rule in the table.
#[derive(Clone, Copy)]
pub(super) enum NameRule {
    /// The name of a secret.
    Name(Name),
    /// An authorization scheme that is recognized without a name before it.
    Scheme(&'static str),
    /// A token with a format of its own.
    Token(usize),
    /// The name of a vendor.
    Vendor(usize),
    /// A pattern for the text after the word.
    Pattern(usize),
    Jwt,
    JwtPayload,
    AwsKey,
    Vault,
    Dsn,
    PrivateKey,
    PrivateKeyEnd,
    Putty,
    Url,
    Insert,
    Placeholder,
    /// There may be invisible text or an encoded character.
    Hint,
}

#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) kind: &'static str,
    pub(super) style: ValueStyle,
    /// How a value in a sentence looks; `None`: a sentence has none.
    pub(super) sentence: Option<SentenceValue>,
}

/// How a value in a sentence looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SentenceValue {
    /// Random letters and digits.
    Key,
    /// The same, or a UUID.
    KeyOrUuid,
    /// Letters and digits, and perhaps others.
    Password,
    /// Four to eight digits.
    Code,
    /// Three or four digits.
    ShortCode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueStyle {
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
        (?<close>(?:\\*["'`]|\[[a-z0-9_]{0,16}\]|[\])]|%(?:25){0,3}(?:22|27|5d)
            |%(?:25)?5b[a-z0-9_]{0,3}|&quot;
            |\\{1,7}(?:u0022|x22)){0,4})
        (?<gap>[\x20\t]*)
        (?<sep>:\x20?(?:string|str)\??\x20?=|=>|={1,3}|:{1,3}=|:{1,2}|!=|%(?:25){0,3}3[ad]|\\{1,7}u003[ad]|(?:is|was):
            |[?|+]=|\|\|=?
            |(?:,\s*["'\\]*type["'\\]*\s*[:=]\s*["'\\]*(?:text|hidden|password|string)["'\\]*)?
                (?:,|\s)\s*["'\\]*(?:parameter|option)?value["'\\]*\s*[:=]
            |;s:[0-9]{1,9}:|&\#61;|&\#x3d;|&equals;)
        (?<space>[\x20\t]*)
      | \\*["'](?:;[\x20-\[\]-~]{0,80})?
            (?<part>(?:(?:\r?\n|(?:\\{1,7}r)?\\{1,7}n)[a-z-]{1,40}:[\x20-\[\]-~]{0,80}){0,3}
            (?:(?:\r?\n){2}|(?:(?:\\{1,7}r)?\\{1,7}n){2}))
      | (?<weak>[\x20]*(?:->|→)[\x20]*|[|,]|\t+)
      | [\x20\t]+(?<is>is|was)[\x20\t]+
      | (?<item>\\*["'],)?[\x20\t]*)"#;
    // Dumps have a type before the value: `string(7) "…"` in PHP, `(string) (len=7) "…"` in Go.
    OPENING = r#"(?x)^(?:string\([0-9]{1,9}\)[\x20]|\(string\)[\x20](?:\(len=[0-9]{1,9}\)[\x20])?|!!str[\x20]|(?:[A-Za-z][A-Za-z0-9_]{0,29}\()*)[&@*$]?[bBuU]?[rR]?
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
        |default|disabled|enabled|present|unknown|empty|unset|set|basic|bearer|jwt|authenticated|successful|simple|[^\pL\pN\s"'`\\\[({]{1,8})"#;
    // Words about a password.
    PASSWORD_STATUS = "(?i)^(?:required|missing|expired|incorrect|invalid|mismatch|unset|yes|no)";
    ERROR_NAME = "^(?:NoSuch(?:[A-Z][a-z]+){1,4}|(?:[A-Z][a-z]+){1,6}(?:Error|Exception|Found|Denied|Expired|Failed|Mismatch))";
    PATH = r"^(?:~?/|\.{1,2}/|[A-Za-z]:[\\/])[A-Za-z0-9._/\\~-]*";
    TAG = r"^(?:v?[0-9]+(?:\.[0-9]+){1,3}(?:[-+][A-Za-z0-9.]{1,30})?|latest|stable|edge|main|master|nightly)";
    // An object as printed by Java and Android: `Token{de9231d u0 …}`, `Binder@2e45a2c`.
    OBJECT = r"^(?:[A-Z][A-Za-z]{2,40}\{[0-9a-f]{5,8}[\s}]|[A-Z][A-Za-z]{2,40}[\x20]\{[\x20]kind:|[A-Za-z_.$]{3,80}@[0-9a-f]{5,8}\b)";
    PLAIN_WORD = "(?x)^(?:[A-Z]?[a-z]{1,20}(?:[A-Z][a-z]{1,20}){0,3}|[A-Z]{1,20})
        (?:[_.-](?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20})){0,4}";
    FILE = "^~?(?:/[.]?(?:[a-z]{2,20}[._-])*[a-z]{2,20}){2,12}/?";
    // The elements after a name that is in an element or in an attribute.
    NAMED_ELEMENT = r"^</(?:[a-z0-9]{1,16}:)?(?:name|key|Name|Key)>\s*<(?:[a-z0-9]{1,16}:)?(?:value|string|Value)(?:\s[^<>]{0,80})?>";
    VALUE_ELEMENT = r"(?i)^>\s*<(?:[a-z0-9]{1,16}:)?value(?:\s[^<>]{0,80})?>";
    // An object around one value, as in items of DynamoDB: `{"S": "…"}`.
    WRAPPED = r#"^\{\s*\\*["'](?:S|N|value|Value|stringValue|StringValue|plaintext|raw)\\*["']\s*:\s*"#;
    // A change in a plan: `"old" -> "new"`.
    CHANGED = r#"^\x20(?:->|=>|→)\x20\\*["']"#;
    // A pair in a tuple or a list.
    PAIR_END = r#"^\\*["']\s{0,8}[)\]]"#;
    // An `INSERT` statement up to its rows, and the start of a row.
    INSERT = r"(?i)^\s+[!-'*-~]{1,128}(?:\s*|\\n)\((?<columns>[^()]{1,1000})\)(?:\s*|\\n)values(?:\s*|\\n)";
    ROW = r"^[\s,]*\(";
    // An object with cookies: `cookies: {sid: "…"}`.
    COOKIE_OBJECT = r#"(?x)^s[\\"'`]*[\x20\t]*(?:=>|[:=])[\x20\t]*\{"#;
    COOKIE_KEY = r#"(?x)^[\s,\\"'`]*[A-Za-z0-9_.$%-]{1,64}[\\"'`]*[\x20\t]*(?:=>|[:=])[\x20\t]*"#;
    VALUE_ATTRIBUTE = r#"(?i)^\s*(?:type\s*=[\s"'\\]{1,4}[a-z]{1,16}["'\\]*\s+)?value\s*=\s*"#;
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
    NEXT_LINE = r#"(?x)^[\x20\t]*(?:\#[^\r\n"\\]{0,80})?(?:(?:\r?\n|\\{1,7}n)[\x20\t]*){0,2}?
        (?:\r?\n|\\{1,7}n)(?<indent>[\x20\t]*)\\{0,7}["']?
        (?<secret>[^\s\\"'-][^\s\\"']{0,255})\\{0,7}["']?[\x20\t]*(?:\r?\n|[\\"]|$)"#;
    REDIS_AUTH = r#"(?x)^(?:\\*"[\x20]+)?[\x20]*(?:(?:[a-z][a-z0-9_-]{0,30}|PLAIN|LOGIN)[\x20]+)?
        (?<quoted>\\*")?(?<secret>[^\s"'\\]{4,128})"#;
    PUTTY = r"^:[\x20]*[0-9]{1,3}(?:\r?\n|(?:\\+r)?\\+n)";
    LINE_BREAK = r"^(?:\r?\n|(?:\\{1,7}r)?\\{1,7}n)";
    NUMBER = "^[0-9][0-9.,_/]*[kKmM%]?";
    LINE_OR_PORT = "^[0-9]{1,5}(?::[0-9]{1,5})*";
    PORT = "^[0-9]{1,5}[/?]";
    MASKED = r"(?ix)^[\[<({]{1,2}(?:redacted|filtered|masked|hidden|removed|omitted|protected)
        (?:[\x20:_-][a-z_-]{1,20})?[\]>)}]{1,2}(?:[^a-z0-9]|$)";
    PROSE = r"^[A-Za-z]+(?:'[a-z]+)?,?[\x20\t]\(?[a-z]+(?:[\s.,;!?)]|$)";
    // After a quoted name: `volume "token" : secret "x" not found`.
    CAUSE = r#"^[a-z]{2,20}\x20(?:["'`]|[a-z]+[\s.,;:]|[a-z]+$)"#;
    MARKER = r"^\[[A-Z]+\](?:\s|$)";
    SENTENCE_WORD = r"^(?:is|was|or|and|must|may|can|can't|does|not|no|too|flag|option|cannot|should|has|to|for|in)[.,;]?(?:\s|$)";
    BEARER = r"^(?:[\x20\t]+|%20)(?<secret>[A-Za-z0-9._~+/=-]{1,64})";
    AWS_ID = "^A(?:[KS]IA|BIA|CCA)[A-Z0-9]{16}(?:[^A-Za-z0-9]|$)";
    AWS_SECRET = r"(?x)^[^A-Za-z0-9/+]{1,8}(?:[A-Za-z]{1,24}[^A-Za-z0-9/+]{1,8}){0,3}
        (?<secret>[A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+]|$)";
    PEM = r"^-----BEGIN[A-Z0-9\x20+%_]*PRIVATE(?:[\x20+_]|%20)KEY[A-Z0-9\x20+%_]*-----";
    PEM_KEY_END = r"^-----END[A-Z0-9\x20+%_]*PRIVATE(?:[\x20+_]|%20)KEY[A-Z0-9\x20+%_]*(?:-----)?";
    PEM_END = r"^-----END[A-Z0-9\x20+%_]*(?:-----)?";
    VENDOR_LINK = r#"(?xi-u)^(?<tail>[\w.\x20\t-]{0,40}?)(?:[\s"'`\\\])]|%(?:25){0,3}2[27]|&quot;){0,6}
        (?:=>|->|={1,3}|:{1,3}=?|[?|+]=|\|\|=?|[>,]|%(?:25){0,3}3[ad]|\\{1,7}u003[ad])
        (?:[\s"'`\\=(]|%(?:25){0,3}2[027]|&quot;){0,8}"#;
    // In the text before a name.
    CODE_BEFORE = r#"(?:^|[\s"'(:>*-])(?<secret>[0-9]{4,8})\x20is\x20(?:a|the|your)\x20(?:[A-Za-z-]{1,20}\x20){0,3}$"#;
    // The rest of a name in a sentence, and the words and brackets between it and its value.
    VENDOR_SENTENCE = r#"(?xi-u)^(?:[\x20_.-]?(?:access|account|admin|api|app|application|auth|bot|client|integration|license
        |personal|private|rest|secret|service|user)){0,3}[\x20_.-]?(?:key|password|secret|token)
        (?:[\x20\t]+(?:code|given|is|provided|supplied|used|value|was)){0,3}[:=]?[\x20\t]+[\\"'`(\[<]{0,4}"#;
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

/// Parts of names whose value identifies something: `commit`, `trace_id`.
pub(super) const VALUE_OF_ID: &str = "account block build branch campaign channel checksum commit container correlation \
    customer deployment digest etag event hash host hostname id ids image instance invoice job layer md5 message node \
    order page path post project ray ref release request resource revision sequence sha sha1 sha256 site span task trace \
    transaction url user uuid version";

/// Parts of names whose value is a secret.
pub(super) const KEY_WORDS: [&[u8]; 7] =
    [b"api", b"auth", b"cred", b"key", b"pass", b"secret", b"token"];

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
                (_, ValueStyle::Pass | ValueStyle::Word | ValueStyle::Session) => false,
                (_, ValueStyle::Digits) => lists("code value", &part),
                (_, ValueStyle::Phrase) => lists("phrase words", &part),
                ("", _) if n == 0 && part == "s" => {
                    plural = true;
                    continue;
                }
                _ if plural => false,
                // Vault's `secret_id` is a secret.
                ("_", ValueStyle::Plain | ValueStyle::Path | ValueStyle::Key) if part == "id" => {
                    self.kind == "secret"
                }
                ("_", ValueStyle::Plain | ValueStyle::Path | ValueStyle::Key) => {
                    !lists(NOT_SECRET_PARTS, &part)
                }
                _ => lists(SECRET_PARTS, &part),
            };
            if !fits {
                return None;
            }
        }
        Some(plural)
    }
}
