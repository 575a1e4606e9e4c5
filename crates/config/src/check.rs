//! What must hold between the lines of a block, and between blocks. Checked after everything was read.

use std::collections::HashSet;

use crate::diagnostic::Position;
use crate::draft::{Block, Draft, ListenerDraft};
use crate::problem::{Problem, block, bridge};

const BRIDGE_CERTIFICATES: [&str; 4] =
    ["bridge_cafile", "bridge_capath", "bridge_certfile", "bridge_keyfile"];

/// Every rule that is broken, with the line that breaks it.
pub(crate) fn check(draft: &Draft) -> Vec<(Problem, Position)> {
    let mut broken = Vec::new();
    for (index, listener) in draft.listeners.iter().enumerate() {
        let given = |name| draft.given.get(&(Block::Listener(index), name));
        check_listener(listener, given, &mut broken);
    }
    for index in 0..draft.bridges.len() {
        check_bridge(draft, index, &mut broken);
    }
    check_local_clientids(draft, &mut broken);
    broken
}

fn check_listener<'a>(
    listener: &ListenerDraft,
    given: impl Fn(&'static str) -> Option<&'a Position>,
    broken: &mut Vec<(Problem, Position)>,
) {
    let mut tell = |problem, at: &Position| broken.push((problem, at.clone()));
    let certificate = given("certfile").or(given("keyfile"));

    if let (Some(at), true) =
        (given("psk_hint").or(given("psk_file")), certificate.or(given("cafile")).is_some())
    {
        tell(block::certificate_and_psk(), at);
    }
    match (given("certfile"), given("keyfile")) {
        (Some(at), None) | (None, Some(at)) => tell(block::half_a_certificate(), at),
        (Some(_), Some(_)) | (None, None) => {}
    }
    for name in ["cafile", "capath"] {
        if let (Some(at), None) = (given(name), certificate) {
            tell(block::authority_without_certificate(name), at);
        }
    }
    if let (true, Some(at)) = (listener.proxy_v2, given("enable_proxy_protocol")) {
        if listener.subject_is_username {
            tell(block::proxy_and_subject(), at);
        }
        if certificate.is_some() {
            tell(block::proxy_and_certificate(), at);
        }
    }
}

fn check_bridge(draft: &Draft, index: usize, broken: &mut Vec<(Problem, Position)>) {
    let given = |name| draft.given.get(&(Block::Bridge(index), name));
    // A `connection` without a name opens a block too, so that the lines below it are still checked.
    let Some(bridge) = draft.bridges.get(index).filter(|bridge| !bridge.name.is_empty()) else { return };
    let Some(opened) = given("connection") else { return };
    let mut tell = |problem, at: &Position| broken.push((problem, at.clone()));

    if given("address").is_none() {
        tell(bridge::without_address(&bridge.name), opened);
    }
    if given("topic").is_none() {
        tell(bridge::without_topic(&bridge.name), opened);
    }
    match (given("bridge_identity"), given("bridge_psk")) {
        (Some(at), None) => tell(bridge::half_a_psk("bridge_psk"), at),
        (None, Some(at)) => tell(bridge::half_a_psk("bridge_identity"), at),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if given("bridge_identity").or(given("bridge_psk")).is_some() {
        for name in BRIDGE_CERTIFICATES {
            if let Some(at) = given(name) {
                tell(bridge::certificate_and_psk(name), at);
            }
        }
    }
}

/// Two bridges with one client identifier would take over each other's session.
fn check_local_clientids(draft: &Draft, broken: &mut Vec<(Problem, Position)>) {
    let mut taken = HashSet::new();
    for (index, bridge) in draft.bridges.iter().enumerate() {
        let client_id = match (&bridge.local_clientid, &bridge.remote_clientid) {
            (Some(local), _) => local.clone(),
            (None, Some(remote)) => format!("local.{remote}"),
            // Made from the bridge's name, which is unique.
            (None, None) => continue,
        };
        let at = ["local_clientid", "remote_clientid"]
            .into_iter()
            .find_map(|name| draft.given.get(&(Block::Bridge(index), name)));
        if let (true, Some(at)) = (taken.contains(&client_id), at) {
            broken.push((bridge::local_clientid_taken(&client_id), at.clone()));
        }
        taken.insert(client_id);
    }
}
