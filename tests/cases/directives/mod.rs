//! The matrix: for every directive of the table a file that uses it, its effect seen from outside, what becomes of that
//! on SIGHUP, and what is said of a value that is none.

mod access;
mod bridge;
mod limits;
mod listener;
mod plugin;
mod process;
mod row;
mod storage_and_log;
mod tls;
mod view;

use std::collections::BTreeSet;

use noctule_config::directive;

use row::Row;

/// A row and a test for each directive, which is named like the test unless another name stands behind it.
macro_rules! matrix {
    ($($test:ident $(= $name:literal)?: $effect:expr, [$($bad:expr),* $(,)?];)*) => {
        pub(super) const ROWS: &[crate::directives::row::Row] = &[$(crate::directives::row::Row {
            directive: matrix!(@name $test $($name)?),
            effect: $effect,
            bad: &[$($bad),*],
        }),*];
        $(#[test]
        fn $test() {
            crate::directives::row::holds(ROWS, matrix!(@name $test $($name)?));
        })*
    };
    (@name $test:ident $name:literal) => { $name };
    (@name $test:ident) => { stringify!($test) };
}
use matrix;

/// The rows, room by room.
fn rows() -> impl Iterator<Item = &'static Row> {
    let rooms = [
        access::ROWS,
        plugin::ROWS,
        limits::ROWS,
        process::ROWS,
        storage_and_log::ROWS,
        listener::ROWS,
        tls::ROWS,
        bridge::ROWS,
    ];
    rooms.into_iter().flatten()
}

#[test]
fn every_directive_of_the_table_has_its_row() {
    let directives: BTreeSet<&str> = directive::all().map(|directive| directive.name).collect();
    let with_row: BTreeSet<&str> = rows().map(|row| row.directive).collect();
    assert_eq!(directives, with_row, "left: the directive table, right: the rows here");
    assert_eq!(rows().count(), with_row.len(), "a directive has one row");
}

#[test]
fn every_row_can_fail() {
    for row in rows() {
        row.is_complete();
    }
}
