//! A thread that dies takes the process down: half a broker that still accepts connections helps nobody.

use std::panic;
use std::process;
use std::thread;
use std::time::Duration;

use crate::log::Log;

/// How long a broker that cannot go on may take to say why. A log that takes nothing gets two seconds of it.
pub(crate) const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(4);

/// From now on a panic of any thread is told on standard error and in the log, and then ends the process.
pub(crate) fn end_the_process(log: &Log) {
    let log = log.clone();
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        abort_after(LAST_WORDS_TIME_MAX);
        tell(panic);
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        // The log's own thread cannot wait for itself; standard error has been told.
        if name != crate::LOG_THREAD {
            log.fatal(format!("Error: thread '{name}' died, so the broker ends: {panic}"));
        }
        process::abort();
    }));
}

/// Ends the process at that time whatever its threads wait for. Standard error may be a pipe that nobody empties: who
/// writes to it waits for ever, and so does whoever wants to write after him.
pub(crate) fn abort_after(time: Duration) {
    let end = move || {
        thread::sleep(time);
        process::abort();
    };
    if thread::Builder::new().name("end".to_owned()).spawn(end).is_err() {
        process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write, stderr};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc::channel;
    use std::time::Instant;

    use super::*;

    const ROLE: &str = "NOCTULE_TEST_PANICS";

    /// Runs the test of this name as another process, since it does not survive.
    fn run_again(test: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("panic::tests::{test}"), "--nocapture"])
            .env(ROLE, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn die() {
        end_the_process(&Log::none());
        let thread = thread::Builder::new().name("shard-7".to_owned());
        let _ = thread.spawn(|| panic!("the core is confused")).unwrap().join();
    }

    #[test]
    fn a_thread_that_dies_takes_the_process_down() {
        if std::env::var_os(ROLE).is_some() {
            return die();
        }
        let child = run_again("a_thread_that_dies_takes_the_process_down").wait_with_output().unwrap();
        let errors = String::from_utf8(child.stderr).unwrap();
        assert_eq!(child.status.signal(), Some(libc::SIGABRT), "{errors}");
        assert!(errors.contains("'shard-7'") && errors.contains("the core is confused"), "{errors}");
    }

    #[test]
    fn it_does_so_even_if_standard_error_is_stuck() {
        if std::env::var_os(ROLE).is_some() {
            let (holds, held) = channel();
            // What the log does with a pipe that nobody empties.
            thread::spawn(move || {
                let mut stderr = stderr().lock();
                holds.send(()).unwrap();
                while stderr.write_all(&[b'x'; 4096]).is_ok() {}
            });
            held.recv().unwrap();
            return die();
        }
        let mut child = run_again("it_does_so_even_if_standard_error_is_stuck");
        let deadline = Instant::now() + 5 * LAST_WORDS_TIME_MAX;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if deadline < Instant::now() => break None,
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        let _ = child.kill();
        assert_eq!(status.map(|status| status.signal()), Some(Some(libc::SIGABRT)));
    }
}
