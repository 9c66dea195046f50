//! Runs `stentor` and answers the most memory that it had resident, by the kernel's account.
//!
//! A child begins with the memory of its parent in that account. So the parent is not this process,
//! but this program started afresh, which has no other child and little memory.

use std::env;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The first argument of the program as the parent of what is measured.
pub const PARENT: &str = "--parent-of";

/// However loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// The output of a command, and the most memory that it had resident.
pub struct Measured {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
    pub peak_bytes: u64,
    pub took: Duration,
}

/// Runs `stentor` in `directory`.
pub fn measured(directory: &Path, arguments: &[&str]) -> Measured {
    let began = Instant::now();
    let mut parent = Command::new(env::current_exe().unwrap());
    parent.args([PARENT, env!("CARGO_BIN_EXE_stentor")]).args(arguments).current_dir(directory);
    let output = parent.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let (stdout, stderr, code, peak_bytes) = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"));
    Measured { stdout, stderr, code, peak_bytes, took: began.elapsed() }
}

/// Runs `command` and prints what is measured, as JSON.
#[expect(clippy::zombie_processes, reason = "`wait` reaps the child with wait4")]
pub fn as_parent(command: &[String]) {
    let mut child = Command::new(&command[0]);
    let mut child = child
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    thread::spawn(move || {
        thread::sleep(PATIENCE);
        kill_process(pid, Signal::KILL).ok();
    });
    let stderr = child.stderr.take().unwrap();
    let stderr = thread::spawn(move || text(stderr));
    let stdout = text(child.stdout.take().unwrap());
    let stderr = stderr.join().unwrap();
    let (status, peak_kib) = wait(pid);
    let code = status.code().unwrap_or_else(|| panic!("{command:?}: {status}"));
    serde_json::to_writer(io::stdout(), &(stdout, stderr, code, peak_kib * 1024)).unwrap();
}

fn text(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the child; its peak is in KiB.
fn wait(pid: Pid) -> (ExitStatus, u64) {
    let mut status = 0;
    // SAFETY: a structure of integers, which are all valid when they are zero.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to variables of this function.
    let waited =
        unsafe { libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, pid.as_raw_nonzero().get(), "{}", io::Error::last_os_error());
    (ExitStatus::from_raw(status), usage.ru_maxrss.try_into().unwrap())
}

/// A directory of this test's own, empty.
pub fn scratch(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory").join(test);
    std::fs::remove_dir_all(&directory).ok();
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
