//! All connections of a run and the poll they hang on. One turn: wait, read what came, write what is to be written.

use std::io;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use noctule_client::protocol::frame::Frame;

use super::connection::{Connection, Drained, ReadBuffer};
use super::fault::Fault;
use super::opening::unasked;
use super::pace::Alarm;

/// Of the alarm; connections count from 0.
const ALARM: Token = Token(usize::MAX);
const PINGREQ: [u8; 2] = [0xC0, 0];
const DISCONNECT: [u8; 2] = [0xE0, 0];

#[derive(Debug)]
pub(super) struct Fleet {
    poll: Poll,
    events: Events,
    pub(super) connections: Vec<Connection>,
    buffer: ReadBuffer,
    ready: Vec<usize>,
    dirty: Vec<usize>,
    alarm: Alarm,
    /// The shortest that any connection was given.
    pub(super) keep_alive: Option<Duration>,
    pinged_at: Instant,
}

impl Fleet {
    pub(super) fn new() -> Result<Self, Fault> {
        let poll = Poll::new()?;
        let alarm = Alarm::new()?;
        alarm.register(poll.registry(), ALARM)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            connections: Vec::new(),
            buffer: ReadBuffer::new(),
            ready: Vec::new(),
            dirty: Vec::new(),
            alarm,
            keep_alive: None,
            pinged_at: Instant::now(),
        })
    }

    /// Takes a connection in, and tells its number.
    pub(super) fn add(&mut self, client_id: String, mut stream: TcpStream) -> io::Result<usize> {
        let index = self.connections.len();
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        self.connections.push(Connection::new(client_id, stream));
        Ok(index)
    }

    /// When [`wait`](Self::wait) shall return at the latest, to the microsecond.
    pub(super) fn wake_at(&mut self, moment: Option<Instant>) -> Result<(), Fault> {
        Ok(self.alarm.set(moment)?)
    }

    /// Waits until something can be read or written, the alarm rings, or the time is over. What can be written is.
    pub(super) fn wait(&mut self, timeout: Duration) -> Result<(), Fault> {
        let timeout = if self.ready.is_empty() { timeout } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            // A signal; whoever handles it has set a flag.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            if event.token() == ALARM {
                continue;
            }
            let index = event.token().0;
            let connection = &mut self.connections[index];
            if event.is_writable() {
                connection.unblock();
                connection.flush()?;
            }
            connection.is_closing |= event.is_read_closed() || event.is_error();
            if (event.is_readable() || connection.is_closing) && !connection.is_ready {
                connection.is_ready = true;
                self.ready.push(index);
            }
        }
        Ok(())
    }

    /// Those that may have something to read. Each must be [`read`](Self::read).
    pub(super) fn take_ready(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.ready)
    }

    /// The list of [`take_ready`](Self::take_ready) when it is empty, so that its memory is used again.
    pub(super) fn give_back(&mut self, mut list: Vec<usize>) {
        list.append(&mut self.ready);
        self.ready = list;
    }

    /// Reads once from a connection that was ready.
    #[inline]
    pub(super) fn read(
        &mut self,
        index: usize,
        on_frame: impl FnMut(&mut Vec<u8>, Frame<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let connection = &mut self.connections[index];
        match connection.read(&mut self.buffer, on_frame)? {
            Drained::Yes => connection.is_ready = false,
            Drained::No => self.ready.push(index),
        }
        if connection.unsent() > 0 && !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(index);
        }
        Ok(())
    }

    /// Reads once from a connection that was ready and waits for nothing.
    pub(super) fn read_unasked(&mut self, index: usize) -> Result<(), Fault> {
        let client = self.connections[index].client_id.clone();
        self.read(index, |_, frame| unasked(|| client.clone(), frame))
    }

    /// Where packets to send are appended; [`flush`](Self::flush) writes them.
    #[inline]
    pub(super) fn out(&mut self, index: usize) -> &mut Vec<u8> {
        let connection = &mut self.connections[index];
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(index);
        }
        &mut connection.out
    }

    /// Writes once to each connection that has something new.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        for index in self.dirty.drain(..) {
            self.connections[index].is_dirty = false;
            self.connections[index].flush()?;
            if self.connections[index].is_closing && !self.connections[index].is_ready {
                self.connections[index].is_ready = true;
                self.ready.push(index);
            }
        }
        Ok(())
    }

    /// Says to the broker that everybody is there, twice in each Keep Alive.
    pub(super) fn ping_if_due(&mut self, now: Instant) -> Result<(), Fault> {
        let Some(keep_alive) = self.keep_alive else { return Ok(()) };
        if now.duration_since(self.pinged_at) < keep_alive / 2 {
            return Ok(());
        }
        self.pinged_at = now;
        for index in 0..self.connections.len() {
            self.out(index).extend_from_slice(&PINGREQ);
        }
        self.flush()
    }

    /// Says goodbye on the connections from `from` on and forgets them. What does not get through is not waited for.
    pub(super) fn disconnect(&mut self, from: usize) {
        for mut connection in self.connections.drain(from..) {
            connection.out.extend_from_slice(&DISCONNECT);
            // It is closed in any case.
            let _ = connection.flush();
        }
        self.forget(from);
    }

    /// The same, and waits until the broker has closed them too: then it knows.
    pub(super) fn disconnect_and_wait(&mut self, from: usize, patience: Duration) {
        let deadline = Instant::now() + patience;
        for connection in &mut self.connections[from..] {
            connection.out.extend_from_slice(&DISCONNECT);
            // Whether it got through, the end of the stream tells.
            let _ = connection.flush();
        }
        for mut connection in self.connections.drain(from..) {
            while !connection.is_at_end() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.forget(from);
    }

    fn forget(&mut self, from: usize) {
        self.ready.retain(|index| *index < from);
        self.dirty.retain(|index| *index < from);
    }
}
