//! Lines of standard input, read on a thread of their own: the connection must be looked after while nobody types.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use noctule_client::Waker;

use crate::failure::Failure;

/// Lines, as bytes without their line feeds. What is read ahead is bounded: [`CHUNKS`] pieces and one unfinished line.
#[derive(Debug)]
pub(super) struct Lines {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// Read and not handed out.
    buffer: VecDeque<u8>,
    /// Up to where the buffer was searched in vain.
    searched: usize,
    ended: bool,
}

/// What there is to publish now.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// Nothing until the waker calls.
    NotYet,
    /// Nothing ever.
    End,
}

/// Pieces that wait to be taken.
const CHUNKS: usize = 4;
const CHUNK_BYTES: usize = 64 * 1024;
/// MQTT allows no longer message.
const LINE_BYTES_MAX: usize = 268_435_455;

impl Lines {
    /// Starts to read; wakes the client when there is something new.
    pub(super) fn of(input: impl Read + Send + 'static, waker: Waker) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(CHUNKS);
        thread::Builder::new().name("standard input".to_owned()).spawn(move || {
            read_chunks(input, &sender, &waker);
            // The end is something new too.
            drop(sender);
            waker.wake();
        })?;
        Ok(Self { chunks, buffer: VecDeque::new(), searched: 0, ended: false })
    }

    /// The next line. The last one need not end with a line feed.
    pub(super) fn next(&mut self) -> Result<Line, Failure> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Line::Whole(line));
            }
            if self.ended {
                return Ok(match self.buffer.is_empty() {
                    true => Line::End,
                    false => Line::Whole(self.take(self.buffer.len())),
                });
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(Failure::file("Error: A line of standard input is longer than MQTT allows."));
            }
            match self.chunks.try_recv() {
                Ok(Ok(chunk)) => self.buffer.extend(chunk),
                Ok(Err(error)) => {
                    return Err(Failure::file(format!("Error: Cannot read standard input: {error}")));
                }
                Err(TryRecvError::Empty) => return Ok(Line::NotYet),
                Err(TryRecvError::Disconnected) => self.ended = true,
            }
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().skip(self.searched).position(|byte| *byte == b'\n');
        match end {
            None => {
                self.searched = self.buffer.len();
                None
            }
            Some(length) => {
                let line = self.take(self.searched + length);
                self.buffer.pop_front();
                Some(line)
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        self.searched = 0;
        self.buffer.drain(..length).collect()
    }
}

fn read_chunks(mut input: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>, waker: &Waker) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let chunk = match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(buffer[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = chunk.is_err();
        // Blocks while the publisher is behind: the bound of what is read ahead.
        if sender.send(chunk).is_err() {
            return;
        }
        waker.wake();
        if failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines, from an input that comes in these pieces.
    fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (sender, chunks) = sync_channel(pieces.len());
        for piece in pieces {
            sender.send(Ok(piece.to_vec())).unwrap();
        }
        let mut lines = Lines { chunks, buffer: VecDeque::new(), searched: 0, ended: false };
        let mut all = Vec::new();
        let mut next = || lines.next().unwrap();
        while let Line::Whole(line) = next() {
            all.push(line);
        }
        assert_eq!(next(), Line::NotYet);
        drop(sender);
        while let Line::Whole(line) = next() {
            all.push(line);
        }
        assert_eq!(next(), Line::End);
        all
    }

    #[test]
    fn how_the_input_is_cut_does_not_matter() {
        let expected: Vec<&[u8]> = vec![b"one", b"", b"t\xff\0o", b"three\r", b"last"];
        assert_eq!(lines(&[b"one\n\nt\xff\0o\nthree\r\nlast"]), expected);
        assert_eq!(lines(&[b"o", b"ne\n", b"\nt\xff\0", b"o\nthree\r\n", b"la", b"st"]), expected);
        assert_eq!(lines(&[b"one\n\nt\xff\0o\nthree\r\nlast\n"]), expected);
    }

    #[test]
    fn nothing_is_no_line() {
        assert_eq!(lines(&[]), Vec::<Vec<u8>>::new());
        assert_eq!(lines(&[b"\n"]), [b""]);
    }

    #[test]
    fn an_unreadable_input_is_a_failure() {
        let (sender, chunks) = sync_channel(1);
        sender.send(Err(io::Error::other("gone"))).unwrap();
        let mut lines = Lines { chunks, buffer: VecDeque::new(), searched: 0, ended: false };
        assert_eq!(lines.next(), Err(Failure::file("Error: Cannot read standard input: gone")));
    }
}
