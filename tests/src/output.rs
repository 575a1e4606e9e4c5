//! What a program has written so far, read by a thread of its own, so that no program blocks on a full pipe.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Output(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    /// Starts reading.
    pub(crate) fn collect(mut pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let output = Self(Arc::clone(&shared));
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            loop {
                let read = pipe.read(&mut buffer).unwrap_or(0);
                let mut seen = shared.seen.lock().expect("no holder of this lock panics");
                seen.bytes.extend_from_slice(&buffer[..read]);
                seen.ended = read == 0;
                shared.changed.notify_all();
                if seen.ended {
                    return;
                }
            }
        });
        output
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// The lines that are whole.
    pub(crate) fn lines(&self) -> Vec<String> {
        let seen = self.lock();
        let end = seen.bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&seen.bytes[..end]).lines().map(str::to_owned).collect()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Returns how many bytes have come: more than `count`, unless the output ended or the time is up.
    pub(crate) fn wait_for_more_than(&self, count: usize, limit: Duration) -> usize {
        self.wait(limit, |seen| seen.ended || seen.bytes.len() > count).bytes.len()
    }

    pub(crate) fn wait_for_end(&self, limit: Duration) {
        drop(self.wait(limit, |seen| seen.ended));
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Seen) -> bool) -> MutexGuard<'_, Seen> {
        let deadline = Instant::now() + limit;
        let mut seen = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if until(&seen) || left.is_zero() {
                return seen;
            }
            seen = self.0.changed.wait_timeout(seen, left).expect("no holder of this lock panics").0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().expect("no holder of this lock panics")
    }
}
