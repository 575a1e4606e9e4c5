//! Subscription Identifiers that travel with one copy of a message.

use std::sync::Arc;

/// None, one, or several where overlapping subscriptions were merged into one copy.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Identifiers {
    /// The subscription has none.
    #[default]
    None,
    /// Of one subscription.
    One(u32),
    /// Of several [MQTT-3.3.4-4].
    Many(Arc<[u32]>),
}

impl Identifiers {
    /// From the form in which 0 stands for none.
    pub fn from_wire(identifier: u32) -> Self {
        if identifier == 0 { Self::None } else { Self::One(identifier) }
    }

    /// In the order of the subscriptions.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (one, many): (Option<u32>, &[u32]) = match self {
            Self::None => (None, &[]),
            Self::One(identifier) => (Some(*identifier), &[]),
            Self::Many(identifiers) => (None, identifiers),
        };
        one.into_iter().chain(many.iter().copied())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl From<Vec<u32>> for Identifiers {
    fn from(all: Vec<u32>) -> Self {
        match all[..] {
            [] => Self::None,
            [one] => Self::One(one),
            _ => Self::Many(all.into()),
        }
    }
}
