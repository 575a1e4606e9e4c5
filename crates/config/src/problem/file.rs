//! Files that cannot be read.

use std::io;
use std::path::Path;

use super::Problem;

pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::IsADirectory => Problem::error(
            format!("`{path}` is a directory"),
            "name a file; the files of a directory are read by `include_dir`",
        )
        .originally(format!("Error: Config file '{path}' is a directory.")),
        _ => Problem::error(
            format!("cannot read `{path}`: {error}"),
            "check that it exists and that the broker's user may read it",
        )
        .originally(format!("Error: Unable to open config file '{path}'.")),
    }
}

pub(crate) fn unlistable(path: &Path, error: &io::Error) -> Problem {
    let path = path.display();
    Problem::error(
        format!("cannot list the directory `{path}`: {error}"),
        "check that it exists and that the broker's user may read it",
    )
    .originally(format!("Error: Unable to open include_dir '{path}'."))
}

pub(crate) fn too_large(path: &Path, bytes_max: u64) -> Problem {
    Problem::error(
        format!("with `{}` the configuration has more than {bytes_max} bytes", path.display()),
        "name a configuration file; this looks like something else",
    )
}

pub(crate) fn nested_include() -> Problem {
    Problem::error("`include_dir` stands in an included file".to_owned(), "move it to the main file")
        .originally("Error: The include_dir option is only valid in the main configuration file.")
}
