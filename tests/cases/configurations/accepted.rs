//! THE table of the differences from Debian's Mosquitto that are meant. `docs/coming-from-mosquitto.md` lists exactly
//! these.

use e2e::side_by_side::Difference;

use super::page::Reason::{
    self, Bridges, DurableStore, EmptyIdentifier, KeepAliveOfThree, LoggedVersion, MissingFiles, MountPoint,
    MountPointShared, NestedIncludes, NumbersAreRead, PacketSize, PayloadCode, Plugins, QueueOfQosZero,
    RetainSource, SinceTwoOne, Texts, Tls, WebSockets,
};

/// A difference that is meant.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The folder in `tests/configurations`.
    pub(super) configuration: &'static str,
    /// What the step begins with.
    pub(super) step: &'static str,
    /// A part of what Mosquitto does; empty if it does nothing of what the broker under test does.
    pub(super) theirs: &'static str,
    /// A part of what the broker under test does.
    pub(super) ours: &'static str,
    /// Why.
    pub(super) reason: Reason,
}

impl Accepted {
    pub(super) fn covers(&self, difference: &Difference) -> bool {
        let shows = |seen: &[String], part: &str| match part {
            "" => seen.is_empty(),
            part => seen.iter().any(|line| line.contains(part)),
        };
        difference.step.starts_with(self.step)
            && shows(&difference.theirs, self.theirs)
            && shows(&difference.ours, self.ours)
    }
}

const fn accepted(
    configuration: &'static str,
    step: &'static str,
    theirs: &'static str,
    ours: &'static str,
    reason: Reason,
) -> Accepted {
    Accepted { configuration, step, theirs, ours, reason }
}

pub(super) const ACCEPTED: &[Accepted] = &[
    accepted(
        "camera-pictures",
        "hear -t cameras/door/huge",
        "receives cameras/door/huge",
        "The connection was lost",
        PacketSize,
    ),
    accepted("message-size", "hear -t size", "Packet too large", "Implementation specific", PayloadCode),
    accepted(
        "retained-source-unsaid",
        "hear -u carol",
        "receives state/lamp",
        "receives state/door",
        RetainSource,
    ),
    accepted(
        "mount-points",
        "hear -V 5 -p 1883 -t $share",
        "exit code 0",
        "receives job 1 0 mine",
        MountPointShared,
    ),
    accepted(
        "mount-points",
        "hear -p 1883 -c -i sleeper",
        "receives north/door/4",
        "receives door/4",
        MountPoint,
    ),
    accepted("mount-points", "hear -p 1883 -t state", "receives north/state", "receives state", MountPoint),
    accepted("mount-points", "hear -p 1883 -t #", "receives north/door/2", "receives door/2", MountPoint),
    accepted(
        "log-to-file",
        "log log/mosquitto.log as logged",
        "logged: true",
        "logged: false",
        LoggedVersion,
    ),
    accepted("limits-reloaded", "pub -V 5 -t a", "exit code 128", "exit code 133", EmptyIdentifier),
    accepted("mistake-certificate-without-key", "start", "listens", "it waits for TLS listeners", Tls),
    accepted(
        "mistake-plugin-missing",
        "start",
        "ends with exit code 13",
        "it waits for the plugins",
        Plugins,
    ),
    accepted(
        "mistake-rights-missing",
        "start",
        "ends with exit code 13",
        "ends with exit code 3",
        MissingFiles,
    ),
    accepted(
        "mistake-users-missing",
        "start",
        "ends with exit code 13",
        "ends with exit code 3",
        MissingFiles,
    ),
    accepted(
        "blanks-and-comments",
        "start",
        "listens",
        "max_queued_messages value not a number",
        NumbersAreRead,
    ),
    accepted("bridge-to-cloud", "start", "listens", "it waits for bridges", Bridges),
    accepted("edge-device", "pub -V 311 -k 121", "exit code 0", "identifier rejected", KeepAliveOfThree),
    accepted("keep-alive-limit", "pub -V 31 -k 31", "exit code 0", "identifier rejected", KeepAliveOfThree),
    accepted("keep-alive-limit", "pub -V 311 -k 31", "exit code 0", "identifier rejected", KeepAliveOfThree),
    accepted(
        "mistake-bad-number",
        "start",
        "listens",
        "max_queued_messages value not a number",
        NumbersAreRead,
    ),
    accepted(
        "mistake-bridge-option",
        "start",
        "Invalid bridge configuration",
        "requires a bridge to be",
        Texts,
    ),
    accepted(
        "mistake-nested-include",
        "start",
        "listens",
        "only valid in the main configuration",
        NestedIncludes,
    ),
    accepted("mistake-no-port", "start", "Empty listener value", "Empty listener port value", Texts),
    accepted(
        "mistake-option-before-listener",
        "start",
        "use create a listener",
        "requires a listener",
        Texts,
    ),
    accepted("mistake-tiny-packets", "start", "Invalid max_packet_size value", "must be >= 20", Texts),
    accepted(
        "mistake-wildcard-mount",
        "start",
        "Invalid mount_point site",
        "Invalid mount_point value",
        Texts,
    ),
    accepted("numbers-in-c", "start", "Invalid max_keepalive value (0)", "listens", NumbersAreRead),
    accepted("only-in-two-one", "start", "Unknown configuration variable", "listens", SinceTwoOne),
    accepted("persistent", "start", "listens", "it waits for the durable store", DurableStore),
    accepted("queue-qos-zero", "hear -c -i sleeper", "receives work/00", "receives work/1", QueueOfQosZero),
    accepted("websockets", "start", "listens", "it waits for listeners of that protocol", WebSockets),
];
