//! Secrets without a name and without a word to look for.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::*;

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(random: &mut fastrand::Rng, len: usize) -> String {
    (0..len).map(|_| char::from(BASE64[random.usize(..BASE64.len())])).collect()
}

#[test]
fn secret_keys_of_aws_are_redacted_without_a_name() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut missed = 0;
    for _ in 0..1000 {
        let key = base64(&mut random, 40);
        for around in ["KEY", "x KEY y", "\"KEY\"", "a: KEY\nb", "{\\\"k\\\":\\\"KEY\\\"}"] {
            let expected = around.replace("KEY", "[redacted:aws-secret]");
            missed += usize::from(redact(&around.replace("KEY", &key)) != expected);
        }
    }
    assert!(missed <= 40, "{missed} of 5000");
}

#[test]
fn encoded_text_and_hashes_are_no_secret_keys() {
    let text = "The quick brown fox, 13 lazy dogs: and 7 cats! ünïcode {\"id\":12} ";
    for start in 0..30 {
        let text: String = text.chars().cycle().skip(start).take(300).collect();
        let encoded = STANDARD.encode(&text);
        for len in [40, 64, 70, 76, 120] {
            let part = &encoded[..len];
            check_kept(&[part, &format!("x {part} y"), &format!("{part}\n{part}\n")]);
        }
    }
    check_kept(&[
        "da39a3ee5e6b4b0d3255bfef95601890afd80709 DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
        "etag \"9b2cf535f27731c974343645a3985328\" sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "at com/example/service2/handlers/Foo3Handle and org.apache.hadoop.hdfs.server.namenode.FSNamesystem2",
        "AmazonS3ClientBuilderConfigurationFacts1 AbstractAuthenticationProcessingFilter01",
        "arn:aws:iam::123456789012:role/service-role/MyFunctionRole1A2B3C4D5E6F7G",
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188",
        "/aws/lambda/prod-payments-worker/2024/01/02/[$LATEST]8f14e45fceea467a9a36dedd4bea2543",
        "x-amz-id-2: eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran",
        "X-Amz-Cf-Id: 8rK3oGfFQdKPOXrJYjYNQ1gVbYyF6pBnA5fGvE2pTz9oXcJw1Rk0zA==",
        "integrity sha384-oqVuAfXRKap7fdgcCVytrzmM5P8kZ1wjIk0jL1M8mF4d3i1Z2kQ9JmVw1a3xYb5c",
        "https://bucket.s3.eu-west-1.amazonaws.com/uploads/2024/01/02/8f14e45f-ceea-467a-9a36-dedd4bea2543.json",
        "kubernetes.io/config.hash=8f14e45fceea467a9a36dedd4bea2543 pod web-7d4b9c8f6d-x2v9k",
        "1234567890123456|customer-name-and-address|another field",
    ]);
}

#[test]
fn tokens_of_discord_are_redacted() {
    let token = |id: &str| {
        format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(id),
            "GxYz12",
            "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA"
        )
    };
    for id in ["123456789012345678", "1234567890123456789"] {
        assert_eq!(
            redact(&format!("login with {} failed", token(id))),
            "login with [redacted:discord-token] failed"
        );
    }
    let other = token("not a number, but text");
    check_kept(&[&other, "com.example.service.module.ClassName.method.invoke0123456789"]);
}

#[test]
fn tokens_of_facebook_apps_are_redacted() {
    let secret = "aB3dE5fG7hI9jK1lM3nO5pQ7rS9";
    for joint in ["|", "%7C"] {
        assert_eq!(
            redact(&format!("x 123456789012345{joint}{secret} y")),
            "x [redacted:facebook-token] y"
        );
    }
    check_kept(&[
        &format!("12345678901234|{secret}"),
        &format!("123456789012345|{}", &secret[..20]),
    ]);
}

#[test]
fn lines_of_a_private_key_are_redacted_without_its_first_and_last_line() {
    let mut random = fastrand::Rng::with_seed(11);
    for len in [64, 70] {
        let lines: Vec<_> = (0..4).map(|_| base64(&mut random, len)).collect();
        let last = base64(&mut random, 24);
        let (one, all) = (&lines[0], lines.join("\n"));
        check(&[
            (one, "⟦private-key⟧"),
            (&format!("a\n{one}\nb c"), "a\n⟦private-key⟧\nb c"),
            (&format!("{all}\n{last}\n"), "⟦private-key⟧\n"),
            (&format!("x\r\n{}\r\nb c", lines.join("\r\n")), "x\r\n⟦private-key⟧\r\nb c"),
            (&format!("x\\n{}\\n{last}\\nb c", lines.join("\\n")), "x\\n⟦private-key⟧\\nb c"),
        ]);
        let certificate = "-----BEGIN CERTIFICATE-----\n";
        check_kept(&[&format!("{certificate}{all}\n"), &format!("x {one} y"), &one[1..]]);
    }
}

#[test]
fn a_certificate_and_a_picture_in_one_line_are_kept() {
    let mut random = fastrand::Rng::with_seed(3);
    let bytes: Vec<u8> = (0..600).map(|_| random.u8(..)).collect();
    check_kept(&[&format!("image {} end", STANDARD_NO_PAD.encode(bytes))]);
}

#[test]
fn names_in_neighbor_elements_are_read() {
    check(&[
        (r#"["X-Api-Key","abc123def456"]"#, r#"["X-Api-Key","⟦api-key⟧"]"#),
        (
            r#"[["Host","x"],["Authorization","Bearer abc"]]"#,
            r#"[["Host","x"],["Authorization","Bearer ⟦bearer⟧"]]"#,
        ),
        (r#"('X-Auth-Token', 'a1b2c3d4e5')"#, r#"('X-Auth-Token', '⟦token⟧')"#),
        (r#"[\"X-Api-Key\", \"abc123def456\"]"#, r#"[\"X-Api-Key\", \"⟦api-key⟧\"]"#),
        (r#"["Cookie","sid=abc; t=x"]"#, r#"["Cookie","sid=⟦cookie⟧"]"#),
        (
            "<property name=\"password\">hunter2</property>",
            "<property name=\"password\">⟦password⟧</property>",
        ),
        (
            "<property name=\"db.password\" value=\"a b\"/>",
            "<property name=\"db.password\" value=\"⟦password⟧\"/>",
        ),
        ("<add key=\"ApiKey\" value=\"abc\" />", "<add key=\"ApiKey\" value=\"⟦api-key⟧\" />"),
        ("<entry key='token'>abc</entry>", "<entry key='token'>⟦token⟧</entry>"),
    ]);
    check_kept(&[
        r#"["password","email","sha256"]"#,
        r#"["token", "user", "password2"]"#,
        "<label for=\"password\">Password</label>",
        "<input type=\"password\">",
        "<field name=\"password\"/>",
        r#"["X-Request-Token","8f14e45f-ceea-467a-9a36-dedd4bea2543"]"#,
    ]);
}

#[test]
fn sessions_and_keys_in_urls_are_redacted() {
    check(&[
        ("connect.sid=s%3AaBcD1234efGH.x9y8z7; Path=/", "connect.sid=⟦session⟧; Path=/"),
        ("laravel_session=eyJpdiI6a1b2c3; x", "laravel_session=⟦session⟧; x"),
        ("_gitlab_session=0a1b2c3d4e5f60718293a4b5c6d7e8f9", "_gitlab_session=⟦session⟧"),
        ("ASP.NET_SessionId=a1b2c3d4e5f6g7h8", "ASP.NET_SessionId=⟦session⟧"),
        ("https://aB3dE5fG7hI9jK1lM3nO5p@sentry.io/1", "https://⟦url-password⟧@sentry.io/1"),
        ("&appid=0123456789abcdef0123456789abcdef&q=x", "&appid=⟦openweather-key⟧&q=x"),
        ("Ocp-Apim-Subscription-Key: 0123456789abcdef", "Ocp-Apim-Subscription-Key: ⟦key⟧"),
        ("x-functions-key: aB3dE5fG==", "x-functions-key: ⟦key⟧"),
    ]);
    check_kept(&[
        "https://deployment.user.of.the.team@host/x",
        "user_session=none browser_session: closed",
        "GET /x?key=user:123 HTTP/1.1",
        "?code=E11000&key=primary",
    ]);
}

#[test]
fn words_after_auth_paths_and_short_numbers_are_kept() {
    check_kept(&[
        "auth: kerberos",
        "auth=user-service",
        "{\"auth\":\"none\",\"authorization\":\"IAM\"}",
        "authorization: AllowAll auth: LdapRealm",
        "auth = plain",
        "token=/var/run/secrets/kubernetes.io/serviceaccount/token",
        "password=/run/secrets/db_password",
        "credentials: ~/.aws/credentials",
        "token: 12 secret=7 credential: 404",
        "pin=13 card 411111111111111",
    ]);
    check(&[
        ("auth: hunter2", "auth: ⟦auth⟧"),
        ("auth=QWxhZGRpbjpvcGVu", "auth=⟦auth⟧"),
        ("Authorization: Token abc123", "Authorization: Token ⟦auth⟧"),
        ("password=/xK9/zQ2", "password=⟦password⟧"),
        ("token: 123456", "token: ⟦token⟧"),
    ]);
}

#[test]
fn assignments_in_all_spellings_are_redacted() {
    let all = [
        "=", ":", " = ", " : ", "==", "=>", " => ", ":=", "::=", ":::=", "?=", " ?= ", "||=", "+=",
        "->", "%3D", "%3A", "%253D", "\\u003d", "\\u003D",
    ];
    for joint in all {
        for name in
            ["password", "client_secret", "DB_PASSWORD", "apiKey", "x-api-key", "refreshToken"]
        {
            for (open, close) in [("", ""), ("\"", "\""), ("'", "'"), ("\\\"", "\\\"")] {
                let text = format!("x {name}{joint}{open}hunter2pw9{close} y");
                let redacted = redact(&text);
                assert!(!redacted.contains("hunter2"), "{text} became {redacted}");
                assert_eq!(redact(&redacted), redacted);
            }
        }
    }
}
