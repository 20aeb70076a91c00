//! The file behind a table: whose it is, and what to call it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::quota::Algorithm;
use crate::sys;

/// The identity of a file on this machine; its order is the order in which locks are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|found| Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

/// An open file that holds, or will hold, a table.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(crate) file: File,
    pub(crate) path: Option<PathBuf>,
    pub(crate) id: FileId,
}

impl Backing {
    /// What to call it in a message.
    pub(crate) fn name(&self) -> String {
        match &self.path {
            Some(path) => format!("table {}", path.display()),
            None => "the table in memory".to_owned(),
        }
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
pub(crate) fn named(path: &Path) -> Result<Backing, Error> {
    let refuse = |what: String| {
        Error::store(
            format!("cannot open table {}: {what}", path.display()),
            "a regular file of this user with mode 0600, or none yet",
        )
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
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
    let id = FileId {
        device: found.dev(),
        inode: found.ino(),
    };
    Ok(Backing {
        file,
        path: Some(path.to_owned()),
        id,
    })
}
