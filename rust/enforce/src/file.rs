//! The file behind a table: whose it is, what to call it, and whether it is still in its place.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::quota::Algorithm;
use crate::sync::random;
use crate::sys;

/// The identity of a file on this machine; its order is the order in which locks are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|found| Self::from(&found))
    }
}

impl From<&Metadata> for FileId {
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
        }
    }
}

/// Times that opening starts again because the name came to mean another file, or its folder went.
pub(crate) const ATTEMPTS: u32 = 64;

/// Number of this process's files that were found removed.
static REMOVALS: AtomicU64 = AtomicU64::new(0);

/// A number that is another one whenever a file was found removed.
#[inline]
pub(crate) fn removals() -> u64 {
    REMOVALS.load(Ordering::Relaxed)
}

/// An open file that holds, or will hold, a table.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(crate) file: File,
    pub(crate) path: Option<PathBuf>,
    pub(crate) id: FileId,
}

impl Backing {
    /// Its name in a message.
    pub(crate) fn name(&self) -> String {
        match &self.path {
            Some(path) => format!("table {}", path.display()),
            None => "the table in memory".to_owned(),
        }
    }

    /// True if others can no longer open the file by its name: it was deleted, or has made room
    /// for another one.
    pub(crate) fn is_removed(&self) -> bool {
        let Some(path) = &self.path else { return false };
        match fs::symlink_metadata(path) {
            Ok(found) => FileId::from(&found) != self.id,
            // After a chroot the name is not there, and the file is.
            Err(_) => self
                .file
                .metadata()
                .is_ok_and(|found| FileId::from(&found) == self.id && found.nlink() == 0),
        }
    }

    /// Says that the file was removed, and that another one counts from here on.
    pub(crate) fn give_up(&self, name: &str) {
        REMOVALS.fetch_add(1, Ordering::Relaxed);
        let path = self.path.as_deref().unwrap_or(Path::new("")).display();
        let said = format!(
            "rateproof: {name} {path} was deleted while it was open: what it counted is lost, and \
             this process goes on with the one that is there now\n"
        );
        let _ = io::stderr().write_all(said.as_bytes()); // at once: others write there, too
    }

    pub(crate) fn failed(&self, verb: &str, error: &io::Error) -> Error {
        let hint = match error.raw_os_error() {
            Some(libc::ENOSPC | libc::ENOMEM | libc::EFBIG | libc::EDQUOT) => {
                let other = Algorithm::TOKEN_BUCKET.name();
                format!("a smaller capacity or limit, a {other}, or more room")
            }
            _ => "check that the folder exists and belongs to this user".to_owned(),
        };
        Error::store(format!("cannot {verb} {}: {error}", self.name()), hint)
    }

    pub(crate) fn cannot_lock(&self, error: &io::Error) -> Error {
        let hint = match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => "more open files (ulimit -n), or fewer of them",
            _ => "open the table in the process and as the user that uses it",
        };
        Error::store(format!("cannot lock {}: {error}", self.name()), hint)
    }
}

/// Opens or creates the file, and checks whose it is before anything in it is believed.
///
/// With `again` its folder is made, too, should it have gone.
pub(crate) fn named(path: &Path, again: bool) -> Result<Backing, Error> {
    let refuse = |what: String| {
        Error::store(
            format!("cannot open table {}: {what}", path.display()),
            "a regular file of this user with mode 0600, or none yet",
        )
    };
    let opened = match again {
        true => found_or_made(path),
        false => open(path),
    };
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => refuse("it is a symbolic link".to_owned()),
        _ => Error::store(
            format!("cannot open table {}: {error}", path.display()),
            "check that the folder exists and belongs to this user",
        ),
    })?;
    let found = file.metadata().map_err(|error| refuse(error.to_string()))?;
    let (owner, user) = (found.uid(), sys::effective_user());
    if !found.is_file() {
        return Err(refuse("it is not a regular file".to_owned()));
    }
    if owner != user {
        return Err(refuse(format!("it belongs to user {owner}, not to {user}")));
    }
    if found.mode() & 0o077 != 0 {
        return Err(refuse(format!("its mode is {:04o}", found.mode() & 0o7777)));
    }
    Ok(Backing {
        file,
        path: Some(path.to_owned()),
        id: FileId::from(&found),
    })
}

/// Opens the file, or makes it and its folder.
fn found_or_made(path: &Path) -> io::Result<File> {
    let folder = path.parent().unwrap_or(path);
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let opened = match fs::symlink_metadata(folder) {
            Ok(found) if found.is_dir() && found.uid() == sys::effective_user() => open(path),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error),
        };
        let made = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_with_folder(path, folder),
            other => return other,
        };
        match made {
            // Others were faster.
            Err(error) if is_there(&error) && attempts.next().is_some() => {}
            other => return other,
        }
    }
}

fn is_there(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty)
}

/// Makes the file in a folder that has another name at first.
///
/// Whoever removes empty folders again and again finds none. Made in its place, each would be gone
/// before the file is in it: such a process waits for the very lock that making a folder holds.
fn make_with_folder(path: &Path, folder: &Path) -> io::Result<File> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let number = random().map_err(io::Error::other)?;
    let beside = folder.with_file_name(format!(".{name}.{number:016x}"));
    DirBuilder::new().mode(0o700).create(&beside)?;
    let inside = beside.join(path.file_name().unwrap_or_default());
    let made = open(&inside).and_then(|file| fs::rename(&beside, folder).map(|()| file));
    if made.is_err() {
        let _ = fs::remove_file(inside);
        let _ = fs::remove_dir(beside);
    }
    made
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}
