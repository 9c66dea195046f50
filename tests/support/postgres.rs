//! A throw-away PostgreSQL server. It ends with the process that started it, and its directory with it:
//! the shell that keeps it reads a pipe, which closes when this process ends in whatever way.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use stentor::adapters::clock::SystemClock;
use stentor::adapters::postgres::schema::Roles;
use stentor::adapters::postgres::{PostgresSettings, PostgresStore};
use stentor::protocol::clock::{Clock, Deadline};

/// The owner of the server and its databases.
pub const OWNER: &str = "stentor";
pub const PASSWORD: &str = "correct horse/battery?staple@1";
/// [`PASSWORD`] in a URL.
pub const PASSWORD_IN_URL: &str = "correct%20horse%2Fbattery%3Fstaple%401";

/// A server refuses to run as root, so then it runs as the user without rights.
const UNPRIVILEGED: u32 = 65_534;

const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// Debian, Fedora, Homebrew.
const KNOWN_FOLDERS: [&str; 4] = [
    "/usr/lib/postgresql",
    "/usr/pgsql-15",
    "/opt/homebrew/opt/postgresql@15",
    "/usr/local/opt/postgresql@15",
];

const MISSING: &str = "the tests of the PostgreSQL store need a server, of version 13 or later: `apt-get install postgresql`, \
     or `cargo test --locked -- --skip postgres`";

/// Keeps `postgres` until its input ends, and then removes the directory.
const KEEPER: &str = r#"directory=$1; shift
"$@" </dev/null >>"$directory/log" 2>&1 &
server=$!
read -r _
kill -QUIT $server 2>/dev/null
wait $server
rm -rf "$directory""#;

/// A server with a directory of its own.
pub struct PostgresServer {
    pub directory: PathBuf,
    pub port: u16,
    /// One for each start. They end with this process.
    keepers: Mutex<Vec<Child>>,
}

/// An empty database with the schema, on the server that all tests of this process share.
pub struct PostgresDatabase {
    pub name: String,
    pub port: u16,
}

impl PostgresServer {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with more settings.
    pub fn start_with(settings: &[&str]) -> Self {
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        let n = SERVERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("stentor-postgres-{}-{n}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
        if is_root() {
            chown(&directory, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
        fs::write(directory.join("password"), PASSWORD).unwrap();
        let initdb = as_server("initdb")
            .args(["--username", OWNER, "--auth-host=scram-sha-256", "--auth-local=trust"])
            .args(["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", "--pwfile"])
            .arg(directory.join("password"))
            .arg(directory.join("data"))
            .output();
        check(&initdb.unwrap());
        let server = Self { directory, port: free_port(), keepers: Mutex::default() };
        server.restart(settings);
        server
    }

    /// Starts the server again, after [`Self::crash`] or [`Self::stop_immediately`], with more settings.
    pub fn restart(&self, settings: &[&str]) {
        let server = as_server("postgres");
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(&self.directory);
        keeper.arg(server.get_program()).args(server.get_args());
        keeper.arg("-D").arg(self.directory.join("data")).arg("-k").arg(&self.directory);
        keeper.args(["-p", &self.port.to_string()]);
        let usual = [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "max_connections=200",
            "shared_buffers=64MB",
        ];
        for setting in usual.iter().chain(settings) {
            keeper.args(["-c", setting]);
        }
        let keeper = keeper.current_dir("/").stdin(Stdio::piped()).spawn().unwrap();
        self.keepers.lock().unwrap().push(keeper);
        let began = Instant::now();
        while !self.is_ready() {
            let log = || fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(began.elapsed() < STARTED_WITHIN, "PostgreSQL does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        let asked = tool("pg_isready")
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        asked.unwrap().success()
    }

    /// Ends the server as a failed machine would: SIGKILL to all of its processes.
    pub fn crash(&self) {
        let postmaster = self.postmaster();
        for pid in children(postmaster).into_iter().chain([postmaster]) {
            kill(pid);
        }
        let began = Instant::now();
        while Path::new(&format!("/proc/{postmaster}/stat")).exists() && !is_zombie(postmaster)
            || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
        {
            assert!(began.elapsed() < STARTED_WITHIN, "PostgreSQL does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Its keeper has not noticed, so its process still counts as alive.
        let socket = format!(".s.PGSQL.{}.lock", self.port);
        for lock in [self.directory.join("data/postmaster.pid"), self.directory.join(socket)] {
            fs::remove_file(lock).unwrap();
        }
    }

    /// Ends the server as an operator in a hurry would: without a checkpoint, so that it recovers when it
    /// starts again.
    pub fn stop_immediately(&self) {
        let mut stop = as_server("pg_ctl");
        stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.directory.join("data"));
        check(&stop.output().unwrap());
    }

    /// Writes a file that only the server may read.
    pub fn keep(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.directory.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            chown(&path, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
        path
    }

    /// Kills one process that serves a connection, if there is any. The server then ends all of them and
    /// recovers.
    pub fn kill_one_connection(&self) -> bool {
        let serving = |pid: &u32| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains("127.0.0.1(")
        };
        let found = children(self.postmaster()).into_iter().find(serving);
        found.is_some_and(|pid| {
            kill(pid);
            true
        })
    }

    fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    /// A new database: empty, or a copy of another.
    pub fn create(&self, name: &str, template: Option<&str>) {
        let mut create = tool("createdb");
        create.arg("-h").arg(&self.directory).args(["-p", &self.port.to_string(), "-U", OWNER]);
        if let Some(template) = template {
            create.args(["-T", template]);
        }
        check(&create.arg(name).output().unwrap());
    }

    /// The output of a statement.
    pub fn query(&self, database: &str, sql: &str) -> String {
        let mut query = tool("psql");
        query.arg("-h").arg(&self.directory).args(["-p", &self.port.to_string(), "-U", OWNER]);
        let output = query
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql])
            .output();
        String::from_utf8(check(&output.unwrap())).unwrap().trim().to_owned()
    }

    /// Applies the migrations to a database.
    pub fn migrate(&self, name: &str) {
        let url = url(self.port, name);
        // In a runtime of its own: the caller may be in one.
        let migrate = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = store(&url, SystemClock);
                let deadline = Deadline::after(SystemClock.now(), STARTED_WITHIN);
                store.migrate(&Roles::default(), deadline).await.unwrap();
            });
        });
        migrate.join().unwrap();
    }
}

/// The server that all tests of this process share, with the template of their databases.
pub fn shared() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = PostgresServer::start();
        server.create(TEMPLATE, None);
        server.migrate(TEMPLATE);
        server
    })
}

const TEMPLATE: &str = "template_with_schema";

impl PostgresDatabase {
    pub fn empty() -> Self {
        static DATABASES: Mutex<u32> = Mutex::new(0);
        let server = shared();
        // One after the other: a template that is being copied cannot be copied.
        let mut made = DATABASES.lock().unwrap();
        *made += 1;
        let name = format!("test_{made}");
        server.create(&name, Some(TEMPLATE));
        Self { name, port: server.port }
    }

    pub fn url(&self) -> String {
        url(self.port, &self.name)
    }

    pub fn store_with<C: Clock>(&self, clock: C) -> PostgresStore<C> {
        store(&self.url(), clock)
    }

    pub fn store(&self) -> PostgresStore {
        self.store_with(SystemClock)
    }

    /// Runs the migrations again.
    pub fn migrate(&self) {
        shared().migrate(&self.name);
    }

    /// The output of a statement.
    pub fn query(&self, sql: &str) -> String {
        shared().query(&self.name, sql)
    }
}

pub fn url(port: u16, database: &str) -> String {
    format!("postgres://{OWNER}:{PASSWORD_IN_URL}@127.0.0.1:{port}/{database}")
}

pub fn store<C: Clock>(url: &str, clock: C) -> PostgresStore<C> {
    PostgresStore::new(PostgresSettings::parse(url, None).unwrap(), clock, fastrand::Rng::new())
}

/// A program of the newest version that is installed.
fn tool(name: &str) -> Command {
    let found = folders().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let mut tool = Command::new(found.unwrap_or_else(|| panic!("{MISSING} (there is no {name})")));
    tool.env("PGPASSWORD", PASSWORD).env_remove("PGHOST").current_dir("/");
    tool
}

/// A program of the server, as the user that it runs as.
fn as_server(name: &str) -> Command {
    let program = tool(name);
    if !is_root() {
        return program;
    }
    let id = UNPRIVILEGED.to_string();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
        .arg(program.get_program());
    command.current_dir("/");
    command
}

fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    for known in KNOWN_FOLDERS {
        let mut versions: Vec<PathBuf> = fs::read_dir(known)
            .map(|entries| {
                entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect()
            })
            .unwrap_or_default();
        versions.sort();
        folders.extend(versions.into_iter().rev());
        folders.push(Path::new(known).join("bin"));
    }
    // Where the server is, so are its tools, of the same version.
    folders.retain(|folder| folder.join("initdb").is_file());
    folders
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn check(output: &Output) -> Vec<u8> {
    let (out, error) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}{}", String::from_utf8_lossy(out));
    out.clone()
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn children(parent: u32) -> Vec<u32> {
    let mut text = String::new();
    if let Ok(mut file) = fs::File::open(format!("/proc/{parent}/task/{parent}/children")) {
        file.read_to_string(&mut text).unwrap();
    }
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether a process has ended, and its keeper has not noticed yet.
fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
}
