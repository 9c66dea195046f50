//! Where the bytes of a file go. A file on the disk appears under its name only when it is whole.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Stdout, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The output of one file.
pub(super) enum PartOutput {
    Stdout(BufWriter<Stdout>),
    Disk(NewFile),
    /// An object of S3 is sent as a whole.
    Memory(Vec<u8>),
}

/// A file under a temporary name, which is removed unless the file is kept.
pub(super) struct NewFile {
    file: BufWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// # Errors
    /// When its folder cannot be written, or its name belongs to something that is no file.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        let found = path.symlink_metadata();
        if found.as_ref().is_ok_and(std::fs::Metadata::is_symlink) {
            bail!("{} is a symbolic link: name the file itself", path.display());
        }
        if found.is_ok_and(|found| !found.is_file()) {
            bail!(
                "{} exists and is not a file; for a pipe, use --to - and redirect it",
                path.display()
            );
        }
        let name = path.file_name().with_context(cannot)?.to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{:08x}", fastrand::u32(..)));
        // Alerts are private.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = BufWriter::new(file.with_context(cannot)?);
        Ok(Self { file, temporary, path: path.to_owned() })
    }

    /// Gives the file its name.
    fn keep(mut self) -> anyhow::Result<()> {
        let kept = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let kept = kept.and_then(|()| std::fs::rename(&self.temporary, &self.path));
        kept.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // A file that was kept no longer has this name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

impl PartOutput {
    /// Makes what was written last. Returns the bytes of an object that is still to be sent.
    ///
    /// # Errors
    /// When the disk or the pipe does not take it.
    pub(super) fn finish(self) -> anyhow::Result<Option<Vec<u8>>> {
        match self {
            Self::Stdout(mut out) => crate::ui::written(out.flush()).map(|()| None),
            Self::Disk(file) => file.keep().map(|()| None),
            Self::Memory(bytes) => Ok(Some(bytes)),
        }
    }
}

impl Write for PartOutput {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Disk(file) => file.file.write(bytes),
            Self::Memory(memory) => memory.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Disk(file) => file.file.flush(),
            Self::Memory(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(test: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("stentor-output-{test}-{}", fastrand::u64(..)));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = scratch("whole");
        let path = folder.join("alerts.jsonl");
        std::fs::write(&path, "old").unwrap();
        let mut out = PartOutput::Disk(NewFile::create(&path).unwrap());
        out.write_all(b"new").unwrap();
        out.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(out.finish().unwrap(), None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        drop(NewFile::create(&path).unwrap());
        assert_eq!(names(&folder), ["alerts.jsonl"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = scratch("device");
        let link = folder.join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for (path, why) in [
            (Path::new("/dev/null"), "is not a file"),
            (&link, "is a symbolic link"),
            (&folder, "is not a file"),
        ] {
            let error = NewFile::create(path).err().expect("no file").to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(NewFile::create(&folder.join("missing/alerts.jsonl")).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
