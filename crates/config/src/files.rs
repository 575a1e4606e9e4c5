//! Where the files of a configuration come from.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Bytes of all files of a configuration together. What is larger is something else, given by mistake.
pub(crate) const BYTES_MAX: u64 = 4 << 20;

/// The disk, or what stands for it in tests.
pub(crate) trait Files {
    /// The file's content, or a little more than `bytes_max` bytes of it.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// The content of a file that decides who gets in, or a little more than `bytes_max` bytes of it.
    fn read_secret(&self, path: &Path, bytes_max: u64, allow_symlinks: bool) -> Result<Vec<u8>, SecretError>;

    /// The `*.conf` files of a directory, in the order they are read.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
}

/// Why a file that decides who gets in is not read.
#[derive(Debug)]
pub(crate) enum SecretError {
    /// It is a symbolic link.
    Symlink,
    /// It is a directory, a device, …
    NotAFile,
    /// The system refuses.
    Unreadable(io::Error),
}

/// The disk.
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut content)?;
        Ok(content)
    }

    fn read_secret(&self, path: &Path, bytes_max: u64, allow_symlinks: bool) -> Result<Vec<u8>, SecretError> {
        let named = fs::symlink_metadata(path)?;
        if named.is_symlink() && !allow_symlinks {
            return Err(SecretError::Symlink);
        }
        // To open a pipe could take for ever.
        if !fs::metadata(path)?.is_file() {
            return Err(SecretError::NotAFile);
        }
        let file = File::open(path)?;
        let opened = file.metadata()?;
        // Somebody may have put a link there since.
        if !allow_symlinks && (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
            return Err(SecretError::Symlink);
        }
        let mut content = Vec::new();
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut content)?;
        Ok(content)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            paths.push(entry?.path());
        }
        Ok(in_order(paths))
    }
}

/// Sources in memory.
pub(crate) struct Memory<'a>(pub(crate) &'a [(PathBuf, &'a [u8])]);

impl Files for Memory<'_> {
    fn read(&self, path: &Path, _bytes_max: u64) -> io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(known, _)| known == path);
        found.map(|(_, content)| content.to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read_secret(
        &self,
        path: &Path,
        bytes_max: u64,
        _allow_symlinks: bool,
    ) -> Result<Vec<u8>, SecretError> {
        Ok(self.read(path, bytes_max)?)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let paths: Vec<_> = self
            .0
            .iter()
            .map(|(path, _)| path)
            .filter(|path| path.parent() == Some(directory))
            .cloned()
            .collect();
        if paths.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(in_order(paths))
    }
}

fn in_order(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.retain(|path| name(path).strip_suffix(b".conf").is_some_and(|stem| !stem.is_empty()));
    paths.sort_by(|left, right| case_aware(name(left), name(right)));
    paths
}

fn name(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_encoded_bytes()
}

/// Letter by letter without regard to case; of the same letter the capital stands first: 00 01 A a B b.
fn case_aware(left: &[u8], right: &[u8]) -> Ordering {
    let key = |byte: &u8| (byte.to_ascii_uppercase(), *byte);
    left.iter().map(key).cmp(right.iter().map(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_case_aware_order() {
        let names = ["b.conf", "a.conf", "B.conf", "01.conf", "A.conf", "00.conf", "aa.conf", "Ab.conf"];
        let sorted = in_order(names.map(PathBuf::from).into());
        let expected = ["00.conf", "01.conf", "A.conf", "Ab.conf", "a.conf", "aa.conf", "B.conf", "b.conf"];
        assert_eq!(sorted, expected.map(PathBuf::from));
    }

    #[test]
    fn other_files_are_not_read() {
        let names = [".conf", "a.conf~", "a.CONF", "conf", "README", "a.conf.bak", "b.conf"];
        assert_eq!(in_order(names.map(PathBuf::from).into()), [PathBuf::from("b.conf")]);
    }
}
