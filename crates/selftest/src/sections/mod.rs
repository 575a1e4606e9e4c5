//! All tables, in the order of the standard.

mod authentication;
mod connect;
mod connect_properties;
mod disconnect;
mod flow_control;
mod malformed;
mod order;
mod ping;
mod publish;
mod publish_properties;
mod qos_received;
mod qos_sent;
mod retained;
mod session_state;
mod shared_subscription;
mod subscribe;
mod topic_alias;
mod topic_filter;
mod unsubscribe;
mod will;

use crate::case::Section;

/// All sections.
pub(crate) const SECTIONS: &[Section] = &[
    Section { name: "connect", cases: connect::CASES },
    Section { name: "connect properties", cases: connect_properties::CASES },
    Section { name: "will", cases: will::CASES },
    Section { name: "publish", cases: publish::CASES },
    Section { name: "publish properties", cases: publish_properties::CASES },
    Section { name: "retained", cases: retained::CASES },
    Section { name: "topic alias", cases: topic_alias::CASES },
    Section { name: "qos received", cases: qos_received::CASES },
    Section { name: "qos sent", cases: qos_sent::CASES },
    Section { name: "subscribe", cases: subscribe::CASES },
    Section { name: "unsubscribe", cases: unsubscribe::CASES },
    Section { name: "ping", cases: ping::CASES },
    Section { name: "disconnect", cases: disconnect::CASES },
    Section { name: "session state", cases: session_state::CASES },
    Section { name: "order", cases: order::CASES },
    Section { name: "topic filter", cases: topic_filter::CASES },
    Section { name: "shared subscription", cases: shared_subscription::CASES },
    Section { name: "flow control", cases: flow_control::CASES },
    Section { name: "authentication", cases: authentication::CASES },
    Section { name: "malformed", cases: malformed::CASES },
];
