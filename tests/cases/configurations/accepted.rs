//! THE table of the differences from Debian's Mosquitto that are meant. `docs/coming-from-mosquitto.md` lists exactly
//! these.

use e2e::side_by_side::Difference;

use super::page::Reason::{
    self, Bridges, DurableStore, EmptyIdentifier, KeepAliveOfThree, LoggedVersion, MissingFiles, MountPoint,
    MountPointShared, NestedIncludes, NumbersAreRead, PacketSize, PayloadCode, Plugins, QueueOfQosZero,
    RetainSource, SinceTwoOne, Texts, Tls, WebSockets,
};

/// A difference that is meant. It explains the lines it names and no others: what else is seen at that step has to be
/// the same.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The folder in `tests/configurations`.
    pub(super) configuration: &'static str,
    /// What the step begins with.
    pub(super) step: &'static str,
    /// What Mosquitto does: a part of each line that is explained.
    pub(super) theirs: &'static [&'static str],
    /// What the broker under test does instead.
    pub(super) ours: &'static [&'static str],
    /// Why.
    pub(super) reason: Reason,
}

impl Accepted {
    /// Takes the lines it explains off this difference; tells whether it is there.
    fn explain(&self, difference: &mut Difference) -> bool {
        let found = difference
            .step
            .starts_with(self.step)
            .then(|| Some((without(&difference.theirs, self.theirs)?, without(&difference.ours, self.ours)?)))
            .flatten();
        match found {
            Some(rest) => (difference.theirs, difference.ours) = rest,
            None => return false,
        }
        true
    }
}

/// These lines without one for each of the parts; none if one of them is in no line.
fn without(lines: &[String], parts: &[&str]) -> Option<Vec<String>> {
    let mut lines = lines.to_vec();
    for part in parts {
        let place = lines.iter().position(|line| line.contains(part))?;
        lines.remove(place);
    }
    Some(lines)
}

/// What is left of a difference when everything is taken off that is accepted, and what of that was there.
pub(super) fn explained<'a>(
    difference: &Difference,
    accepted: &[&'a Accepted],
) -> (Option<Difference>, Vec<&'a Accepted>) {
    let mut rest = difference.clone();
    let seen = accepted.iter().copied().filter(|accepted| accepted.explain(&mut rest)).collect();
    ((rest.theirs != rest.ours).then_some(rest), seen)
}

const fn accepted(
    configuration: &'static str,
    step: &'static str,
    theirs: &'static [&'static str],
    ours: &'static [&'static str],
    reason: Reason,
) -> Accepted {
    Accepted { configuration, step, theirs, ours, reason }
}

pub(super) const ACCEPTED: &[Accepted] = &[
    accepted(
        "camera-pictures",
        "hear -t cameras/door/huge",
        &["f 3000000: exit code 0", "receives cameras/door/huge", "receives cameras/door/huge"],
        &["exit code 7", "The connection was lost"],
        PacketSize,
    ),
    accepted(
        "message-size",
        "hear -t size",
        &["Packet too large", "Packet too large"],
        &["Implementation specific", "Implementation specific"],
        PayloadCode,
    ),
    accepted("retained-source-unsaid", "hear -u carol", &["receives state/lamp"], &[], RetainSource),
    accepted(
        "mount-points",
        "hear -V 5 -p 1883 -t $share",
        &[],
        &["receives job 1 0 mine"],
        MountPointShared,
    ),
    accepted(
        "mount-points",
        "hear -p 1883 -c -i sleeper",
        &["receives north/door/4"],
        &["receives door/4"],
        MountPoint,
    ),
    accepted(
        "mount-points",
        "hear -p 1883 -t state",
        &["receives north/state"],
        &["receives state"],
        MountPoint,
    ),
    accepted(
        "mount-points",
        "hear -p 1883 -t #",
        &["receives north/door/2"],
        &["receives door/2"],
        MountPoint,
    ),
    accepted(
        "log-to-file",
        "log log/mosquitto.log as logged",
        &["logged: true"],
        &["logged: false"],
        LoggedVersion,
    ),
    accepted(
        "limits-reloaded",
        "pub -V 5 -t a",
        &["exit code 128", "Unspecified error"],
        &["exit code 133", "Client Identifier not valid"],
        EmptyIdentifier,
    ),
    accepted(
        "mistake-certificate-without-key",
        "start",
        &["listens on 0.0.0.0 port 8883", "listens on :: port 8883"],
        &["ends with exit code 3", "it waits for TLS listeners", "Error found at"],
        Tls,
    ),
    accepted(
        "mistake-plugin-missing",
        "start",
        &["ends with exit code 13", "Unable to load auth plugin"],
        &["ends with exit code 3", "it waits for the plugins", "Error found at"],
        Plugins,
    ),
    accepted(
        "mistake-rights-missing",
        "start",
        &["ends with exit code 13"],
        &["ends with exit code 3"],
        MissingFiles,
    ),
    accepted(
        "mistake-users-missing",
        "start",
        &["ends with exit code 13"],
        &["ends with exit code 3"],
        MissingFiles,
    ),
    accepted(
        "comment-behind-a-number",
        "start",
        &["listens on 127.0.0.1 port 1883"],
        &["ends with exit code 3", "max_queued_messages value not a number", "Error found at"],
        NumbersAreRead,
    ),
    accepted(
        "bridge-to-cloud",
        "start",
        &["listens on 0.0.0.0 port 1883", "listens on :: port 1883"],
        &["ends with exit code 3", "it waits for bridges", "Error found at"],
        Bridges,
    ),
    accepted(
        "edge-device",
        "pub -V 311 -k 121",
        &["exit code 0"],
        &["exit code 2", "identifier rejected", "The connection was refused"],
        KeepAliveOfThree,
    ),
    accepted(
        "keep-alive-limit",
        "pub -V 31 -k 31",
        &["exit code 0"],
        &["exit code 2", "identifier rejected", "The connection was refused"],
        KeepAliveOfThree,
    ),
    accepted(
        "keep-alive-limit",
        "pub -V 311 -k 31",
        &["exit code 0"],
        &["exit code 2", "identifier rejected", "The connection was refused"],
        KeepAliveOfThree,
    ),
    accepted(
        "mistake-bad-number",
        "start",
        &["listens on 0.0.0.0 port 1883", "listens on :: port 1883"],
        &["ends with exit code 3", "max_queued_messages value not a number", "Error found at"],
        NumbersAreRead,
    ),
    accepted(
        "mistake-bridge-option",
        "start",
        &["Invalid bridge configuration"],
        &["requires a bridge to be"],
        Texts,
    ),
    accepted(
        "mistake-nested-include",
        "start",
        &["listens on 0.0.0.0 port 1883", "listens on :: port 1883"],
        &["ends with exit code 3", "only valid in the main configuration", "Error found at"],
        NestedIncludes,
    ),
    accepted("mistake-no-port", "start", &["Empty listener value"], &["Empty listener port value"], Texts),
    accepted(
        "mistake-option-before-listener",
        "start",
        &["use create a listener"],
        &["requires a listener"],
        Texts,
    ),
    accepted("mistake-tiny-packets", "start", &["Invalid max_packet_size value"], &["must be >= 20"], Texts),
    accepted(
        "mistake-wildcard-mount",
        "start",
        &["Invalid mount_point site"],
        &["Invalid mount_point value"],
        Texts,
    ),
    accepted(
        "numbers-in-c",
        "start",
        &["ends with exit code 3", "Invalid max_keepalive value (0)", "Error found at"],
        &["listens on 0.0.0.0 port 1883", "listens on :: port 1883"],
        NumbersAreRead,
    ),
    accepted(
        "only-in-two-one",
        "start",
        &["ends with exit code 3", "Unknown configuration variable", "Error found at"],
        &["listens on 0.0.0.0 port 1883", "listens on :: port 1883"],
        SinceTwoOne,
    ),
    accepted(
        "persistent",
        "hear -t lamp",
        &["receives lamp 0 1 on"],
        &["receives lamp 0 1 off"],
        DurableStore,
    ),
    accepted("queue-qos-zero", "hear -c -i sleeper", &["receives work/00"], &[], QueueOfQosZero),
    accepted(
        "websockets",
        "start",
        &["listens on 0.0.0.0 port 1883", "listens on :: port 1883", "listens on :: port 9001"],
        &["ends with exit code 3", "it waits for listeners of that protocol", "Error found at"],
        WebSockets,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Accepted =
        accepted("any", "hear", &["receives north/a"], &["receives a"], Reason::MountPoint);

    fn difference(step: &str, theirs: &[&str], ours: &[&str]) -> Difference {
        let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
        Difference { step: step.to_owned(), theirs: lines(theirs), ours: lines(ours) }
    }

    #[test]
    fn what_is_accepted_explains_its_own_lines_only() {
        let known =
            difference("hear -t #", &["subscribed", "receives north/a"], &["subscribed", "receives a"]);
        let (rest, seen) = explained(&known, &[&KNOWN]);
        assert!(rest.is_none() && seen.len() == 1, "{rest:?}");

        let more = difference("hear -t #", &["receives north/a", "receives b"], &["receives a"]);
        let (rest, _) = explained(&more, &[&KNOWN]);
        assert_eq!(rest, Some(difference("hear -t #", &["receives b"], &[])));

        let twice = difference("hear -t #", &["receives north/a"], &["receives a", "receives a"]);
        let (rest, _) = explained(&twice, &[&KNOWN]);
        assert_eq!(rest, Some(difference("hear -t #", &[], &["receives a"])));

        for other in [
            difference("pub", &["receives north/a"], &["receives a"]),
            difference("hear", &["receives north/a"], &[]),
        ] {
            let (rest, seen) = explained(&other, &[&KNOWN]);
            assert!(rest == Some(other) && seen.is_empty());
        }
    }
}
