//! What a broker that runs cannot do.

use super::Problem;
use crate::config::Listener;

pub(crate) fn listener_new(listener: &Listener) -> Problem {
    let place = place(listener);
    Problem::error(
        format!("a reload cannot open a listener, and {place} is not open"),
        "restart the broker, or take this listener out again",
    )
    .originally_told()
}

pub(crate) fn listener_gone(listener: &Listener) -> Problem {
    let place = place(listener);
    Problem::error(
        format!("a reload cannot close a listener, and {place} is open and no longer in the file"),
        "restart the broker, or write this listener again",
    )
    .originally_told()
}

fn place(listener: &Listener) -> String {
    let port = listener.address.port;
    match &listener.address.host {
        Some(host) => format!("port {port} of {host}"),
        None => format!("port {port}"),
    }
}

impl Problem {
    fn originally_told(self) -> Self {
        self.originally(
            "Error: It is not currently possible to add/remove listeners when reloading the config file.",
        )
        .without_line()
    }
}
