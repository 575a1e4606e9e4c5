//! What can be broken on purpose: each must be noticed by a check, or the checks are worth nothing.

/// One defect of the surroundings, as if the broker had it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sabotage {
    /// The store says durable when it has only heard of a batch.
    DurableTooEarly,
    /// The store says durable when it has written a batch and not synced it.
    SkipSync,
    /// What belongs together is written row by row, and a crash cuts it in two.
    TearBatches,
    /// A row of a batch is left out now and then.
    LoseRow,
    /// The broker is told that the queue before the store is full, and not that it has room again.
    StayFull,
    /// The store forgets rows that take retained messages back.
    ForgetRetained,
    /// The store never deletes.
    KeepRows,
    /// A QoS 1 PUBLISH to a client is swallowed and acknowledged in its name.
    SwallowPublish,
    /// A QoS 2 PUBLISH is sent again when its exchange has ended.
    RepeatPublish,
    /// Two PUBLISH packets of one topic and QoS change places.
    SwapPublishes,
    /// Two PUBACKs change places.
    SwapPubacks,
    /// A byte of a payload is flipped.
    FlipByte,
    /// Clients count one message less than the Receive Maximum they announced.
    StingyWindow,
    /// Clients count fewer bytes than the Maximum Packet Size they announced.
    StingyPacketSize,
    /// The host counts an outbox limit half as large as the broker was told.
    StingyOutbox,
    /// The host forgets that messages were dropped.
    MiscountDrops,
    /// A session is not there after a restart.
    ForgetSession,
    /// A start finds no cursor of a session.
    ForgetCursors,
    /// A start passes over the first message that waits.
    SkipQueued,
    /// A retained message is passed over when those on the disk are read.
    SkipRetained,
    /// A parcel between shards is lost.
    LoseParcel,
    /// A parcel between shards arrives twice.
    RepeatParcel,
    /// Two parcels from one shard to another change places.
    SwapParcels,
    /// A connection is handed over without what was received behind its CONNECT.
    CutHandOver,
    /// The broker is not told the access rules.
    ForgetRules,
}

impl Sabotage {
    /// All of them, each with the check that must notice it.
    pub const ALL: [(Self, &str); 25] = [
        (Self::DurableTooEarly, "lost"),
        (Self::SkipSync, "lost"),
        (Self::TearBatches, "lost"),
        (Self::LoseRow, "lost"),
        (Self::StayFull, "rest"),
        (Self::ForgetRetained, "retained"),
        (Self::KeepRows, "leak"),
        (Self::SwallowPublish, "lost"),
        (Self::RepeatPublish, "exactly once"),
        (Self::SwapPublishes, "order"),
        (Self::SwapPubacks, "protocol"),
        (Self::FlipByte, "content"),
        (Self::StingyWindow, "receive maximum"),
        (Self::StingyPacketSize, "maximum packet size"),
        (Self::StingyOutbox, "outbox"),
        (Self::MiscountDrops, "accounting"),
        (Self::ForgetSession, "session"),
        (Self::ForgetCursors, "exactly once"),
        (Self::SkipQueued, "lost"),
        (Self::SkipRetained, "retained"),
        (Self::LoseParcel, "lost"),
        (Self::RepeatParcel, "exactly once"),
        (Self::SwapParcels, "order"),
        (Self::CutHandOver, "rest"),
        (Self::ForgetRules, "uninvited"),
    ];
}
