//! Whether standard output can be written at all. A shell closes it with `>&-`. The runtime of Rust
//! then opens `/dev/null` in its place, and it takes a write to a descriptor that is open for
//! reading only as a success. Either way a message would count as shown that no one can see.
//!
//! So this looks at the descriptor before the runtime starts. Errors of single writes, such as those
//! of a full disk, are left to the commands.

use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{OFlags, fcntl_getfl};

/// The state of the descriptor when the process began.
static FOUND: AtomicU8 = AtomicU8::new(WRITABLE);

const WRITABLE: u8 = 0;
const CLOSED: u8 = 1;
const READ_ONLY: u8 = 2;

/// The loader calls it before the runtime of Rust, which changes the descriptor.
#[used]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static BEFORE_MAIN: extern "C" fn() = look;

extern "C" fn look() {
    let found = match fcntl_getfl(rustix::stdio::stdout()) {
        Err(_) => CLOSED,
        Ok(flags) if flags & OFlags::RWMODE == OFlags::RDONLY => READ_ONLY,
        Ok(_) => WRITABLE,
    };
    FOUND.store(found, Ordering::Relaxed);
}

/// Checks that the process began with an output.
///
/// # Errors
/// When it is closed or cannot be written.
pub(crate) fn check() -> anyhow::Result<()> {
    let fault = match FOUND.load(Ordering::Relaxed) {
        CLOSED => "is closed",
        READ_ONLY => "is open for reading only",
        _ => return Ok(()),
    };
    let error = anyhow::anyhow!("cannot write to standard output: it {fault}");
    Err(crate::ui::hinted(error, "nothing was done; use > /dev/null to discard the output"))
}
