//! The process: its threads, files and user.

use super::matrix;
use super::row::{bad, file, file_and, removed, seen};
use super::view;

macro_rules! open {
    ($lines:literal) => {
        concat!("listener PORT 127.0.0.1\nallow_anonymous true\n", $lines)
    };
}

/// Two directories to include, which differ in what they say.
const DIRECTORIES: &[(&str, &str)] = &[("a/one.conf", ""), ("b/one.conf", "retain_available false")];

matrix! {
    worker_threads:
        seen(view::threads, file(open!("worker_threads 1"), "1 threads"), file(open!("worker_threads 3"), "3 threads")),
        [bad("worker_threads 0", "`worker_threads` cannot be 0; write a number between 1 and 256")];

    worker_connections_min:
        seen(
            view::loops_of_two_clients,
            file(open!("worker_threads 2"), "1 loops"),
            file(open!("worker_threads 2\nworker_connections_min 1"), "2 loops"),
        ),
        [bad("worker_connections_min 0", "`worker_connections_min` cannot be 0")];

    set_tcp_nodelay:
        seen(
            view::nodelay_is_told,
            file(open!("set_tcp_nodelay true"), "nothing is told"),
            file(open!("set_tcp_nodelay false"), "it is told that small packets are always sent at once"),
        ),
        [bad("set_tcp_nodelay off", "`set_tcp_nodelay` cannot be `off`")];

    retry_interval: removed(open!("retry_interval 20")), [];

    user:
        seen(view::user, file(open!("user root"), "root"), file(open!("user nobody"), "somebody else")),
        [bad("user", "`user` has no value")];

    pid_file:
        seen(
            view::process_numbers,
            file(open!("pid_file DIR/a.pid"), "a.pid"),
            file(open!("pid_file DIR/b.pid"), "b.pid"),
        ),
        [bad("pid_file /run/a.pid\npid_file /run/b.pid", "`pid_file` was said before")];

    include_dir:
        seen(
            view::retain_available,
            file_and(open!("include_dir DIR/a"), DIRECTORIES, "not told"),
            file_and(open!("include_dir DIR/b"), DIRECTORIES, "0"),
        ),
        [bad("include_dir DIR/absent", "/absent`: No such file or directory")];
}
