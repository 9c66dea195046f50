//! TLS to a server with a certificate of the test's own authority, and what a server without TLS gets to see.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use fastrand::Rng;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::postgres::{PostgresSettings, PostgresStore};
use stentor::protocol::store::{Store as _, StoreError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{settings, within_ms};
use crate::store::soon;
use crate::support::postgres::{OWNER, PASSWORD_IN_URL, PostgresServer};

/// The message with which a client asks for TLS: its length, and the number of the request.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

const EXTENSIONS: &str = "
[req]
distinguished_name = name
prompt = no
[name]
CN = made by a test
[authority]
basicConstraints = critical, CA:TRUE
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:db.example, IP:127.0.0.1
";

/// A server with TLS.
struct TlsServer {
    server: PostgresServer,
    certificates: Certificates,
}

/// An authority, a server that it certifies, and another authority.
struct Certificates(PathBuf);

impl Certificates {
    fn make(directory: PathBuf) -> Self {
        std::fs::create_dir(&directory).unwrap();
        let certificates = Self(directory);
        std::fs::write(certificates.path("extensions"), EXTENSIONS).unwrap();
        for authority in ["authority", "other"] {
            let (key, out) = (format!("{authority}.key"), format!("{authority}.pem"));
            let made = ["req", "-x509", "-extensions", "authority", "-days", "30"];
            certificates.request(&made, authority, &key, &out);
        }
        certificates.request(&["req"], "server", "server.key", "server.csr");
        let sign = "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -set_serial 2 -days 30 \
            -extfile extensions -extensions server -out server.pem";
        certificates.run(&sign.split_whitespace().collect::<Vec<_>>());
        certificates
    }

    /// A request for a new key under this name, or what a command makes of it.
    fn request(&self, command: &[&str], name: &str, key: &str, out: &str) {
        let subject = format!("/CN={name}");
        let new = ["-new", "-newkey", "rsa:2048", "-nodes", "-config", "extensions"];
        let files = ["-subj", &subject, "-keyout", key, "-out", out];
        self.run(&[command, &new, &files].concat());
    }

    fn run(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.0).output();
        let output = output.expect("the test of TLS needs openssl: `apt-get install openssl`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

impl TlsServer {
    fn start() -> Self {
        let server = PostgresServer::start();
        // It goes with the server.
        let certificates = Certificates::make(server.directory.join("certificates"));
        let certificate = server.keep("server.pem", &certificates.read("server.pem"));
        let key = server.keep("server.key", &certificates.read("server.key"));
        let file = |setting: &str, path: &Path| format!("{setting}={}", path.display());
        let (certificate, key) = (file("ssl_cert_file", &certificate), file("ssl_key_file", &key));
        server.stop_immediately();
        server.restart(&["ssl=on", &certificate, &key]);
        server.create("encrypted", None);
        server.migrate("encrypted");
        Self { server, certificates }
    }

    /// A store that reaches the server under this name, and trusts these authorities.
    fn store(&self, host: &str, authorities: &str) -> PostgresStore {
        let path = self.certificates.path(authorities);
        let options = format!("sslmode=verify-full&sslrootcert={}", path.display());
        PostgresStore::new(settings(&self.url(host, &options)), SystemClock, Rng::new())
    }

    fn url(&self, host: &str, options: &str) -> String {
        url(host, self.server.port, options)
    }
}

/// The address of the host is that of this machine, whatever its name.
fn url(host: &str, port: u16, options: &str) -> String {
    format!(
        "postgres://{OWNER}:{PASSWORD_IN_URL}@{host}:{port}/encrypted?hostaddr=127.0.0.1&{options}"
    )
}

fn server() -> &'static TlsServer {
    static SERVER: OnceLock<TlsServer> = OnceLock::new();
    SERVER.get_or_init(TlsServer::start)
}

fn refused(error: StoreError) -> String {
    match error {
        StoreError::Refused(cause) if cause.code == "no-tls" => cause.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_encrypted_and_its_server_verified() {
    let server = server();
    for host in ["127.0.0.1", "db.example"] {
        let store = server.store(host, "authority.pem");
        assert_eq!(store.routes(soon()).await, Ok(Vec::new()), "{host}");
        let encrypted = "SELECT DISTINCT s.ssl, s.version FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
            WHERE a.application_name LIKE 'stentor/%'";
        let encrypted = server.server.query("encrypted", encrypted);
        assert_eq!(encrypted, "t|TLSv1.3", "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_verified_is_refused_with_its_reason() {
    let server = server();
    let error = server.store("db.example", "other.pem").routes(soon()).await.unwrap_err();
    let error = refused(error);
    assert!(error.contains("invalid peer certificate: UnknownIssuer"), "{error}");
    assert!(error.contains("sslrootcert or DATABASE_ROOT_CERTIFICATES"), "{error}");
    let error = server.store("other.example", "authority.pem").routes(soon()).await.unwrap_err();
    let error = refused(error);
    assert!(error.contains("not valid for name \"other.example\""), "{error}");
    assert!(error.ends_with("name the host as its certificate does"), "{error}");
    // Those of the system do not have it.
    let url = server.url("db.example", "");
    let store = PostgresStore::new(settings(&url), SystemClock, Rng::new());
    let error = store.routes(soon()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(_)), "{error:?}");
}

/// A server that has no TLS, such as one that pretends to be another. It gets the question, and neither a
/// name nor a password.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_fallback_to_plain_text() {
    let roots = server().certificates.path("authority.pem");
    let roots = format!("sslrootcert={}", roots.display());
    let verified = format!("sslmode=verify-full&{roots}");
    // Without `sslmode`, plain text is for this machine only.
    for (host, options) in
        [("127.0.0.1", &verified), ("db.example", &verified), ("db.example", &roots)]
    {
        let (port, said) = without_tls().await;
        let url = url(host, port, options).replace(&format!(":{PASSWORD_IN_URL}"), "");
        let settings = PostgresSettings::parse(&url, Some("hunter2")).unwrap();
        let store = PostgresStore::new(settings, SystemClock, Rng::new());
        let error = refused(store.routes(within_ms(5_000)).await.unwrap_err());
        assert!(error.contains("server does not support TLS"), "{host}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
        drop(store);
        assert_eq!(said.await.unwrap(), SSL_REQUEST, "{host} {options}");
    }
}

/// Answers the question for TLS with no. Returns its port, and what the client said until it left.
async fn without_tls() -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut said = vec![0; SSL_REQUEST.len()];
        client.read_exact(&mut said).await.unwrap();
        client.write_all(b"N").await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut said));
        let _ = read.await.expect("the client leaves");
        said
    });
    (port, said)
}
