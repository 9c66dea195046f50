//! Where an export goes.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};

use super::bucket::Bucket;
use crate::audit_table::AuditTable;
use crate::data_dir::is_in_data_dir;

pub(super) enum ExportPlace {
    Stdout,
    File(PathBuf),
    Folder(PathBuf),
    /// A folder of S3.
    Bucket(Box<Bucket>),
}

impl ExportPlace {
    /// The place that `--to` names.
    ///
    /// # Errors
    /// When it is in a data directory, or no place at all.
    pub(super) async fn of(to: &str, table: &AuditTable) -> anyhow::Result<Self> {
        match to {
            "-" => Ok(Self::Stdout),
            "" => bail!("--to is empty: name a file, a folder or s3://BUCKET/FOLDER"),
            url if url.starts_with("s3://") => {
                Ok(Self::Bucket(Box::new(Bucket::open(url, table).await?)))
            }
            url if url.starts_with("s3:") || url.contains("://") => {
                bail!("--to: expected a file, a folder or s3://BUCKET/FOLDER")
            }
            path => Self::on_disk(path),
        }
    }

    fn on_disk(to: &str) -> anyhow::Result<Self> {
        let path = resolved(Path::new(to))?;
        refuse_data_dir(&path)?;
        let is_folder = to.ends_with('/') || path.is_dir();
        Ok(if is_folder { Self::Folder(path) } else { Self::File(path) })
    }

    pub(super) fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_) | Self::Bucket(_))
    }
}

/// # Errors
/// When `path` is in the data directory of a run.
pub(super) fn refuse_data_dir(path: &Path) -> anyhow::Result<()> {
    match is_in_data_dir(path) {
        true => bail!("{} is in a data directory of stentor: name another place", path.display()),
        false => Ok(()),
    }
}

/// The path without `..`, which leads elsewhere if a folder is a link or is created only later.
///
/// # Errors
/// When a folder before `..` does not exist.
fn resolved(path: &Path) -> anyhow::Result<PathBuf> {
    let parts: Vec<Component<'_>> = path.components().collect();
    let Some(last) = parts.iter().rposition(|part| *part == Component::ParentDir) else {
        return Ok(path.to_owned());
    };
    let (before, after) = parts.split_at(last + 1);
    let before: PathBuf = before.iter().collect();
    let found = before.canonicalize();
    let found = found.with_context(|| format!("cannot find the folder {}", before.display()))?;
    Ok(found.join(after.iter().collect::<PathBuf>()))
}
