//! The least that a durable acknowledgement costs: one write and one sync for what came in a turn, into a file whose blocks
//! are there already.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Written once, so that no sync has to tell the file system where anything is; then gone round.
const FILE_BYTES: u64 = 256 << 20;
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// A file that is written from its beginning to its end, again and again.
pub(super) struct RawLog {
    file: File,
    at: u64,
    waiting: Vec<u8>,
}

impl RawLog {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().create_new(true).write(true).open(path)?;
        for at in (0..FILE_BYTES).step_by(ZEROS.len()) {
            file.write_all_at(&ZEROS, at)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0, waiting: Vec::new() })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Writes and syncs what was appended.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let bytes = self.waiting.len() as u64;
        if self.at + bytes > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&self.waiting, self.at)?;
        self.file.sync_data()?;
        self.at += bytes;
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_written_once_and_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = RawLog::create(&path).unwrap();
        log.sync().unwrap();
        log.append(b"one");
        log.append(b"two");
        log.sync().unwrap();
        log.append(b"three");
        log.sync().unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[..12], *b"onetwothree\0");
        log.at = FILE_BYTES - 2;
        log.append(b"over the end");
        log.sync().unwrap();
        let content = std::fs::read(&path).unwrap();
        assert_eq!((content.len() as u64, &content[..12]), (FILE_BYTES, &b"over the end"[..]));
    }
}
