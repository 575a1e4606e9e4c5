//! What clients may do: the rules of an `acl_file`.

/// The rules that hold on a listener, in the order of their file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccessRules {
    rules: Vec<AccessRule>,
}

/// One rule: who may do what with topics that match a filter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessRule {
    /// For whom it is.
    pub whom: Whom,
    /// What it says.
    pub access: Access,
    /// Topic Filter, mount point included; in a pattern `%c` stands for the Client Identifier and `%u` for the User Name.
    pub filter: String,
}

/// For whom a rule is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whom {
    /// Clients without User Name: rules before the first `user`.
    Anonymous,
    /// Clients with this User Name.
    User(String),
    /// All clients; each has a filter of its own.
    Pattern,
}

/// What a rule says about messages to its topics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// They may be received.
    Read,
    /// They may be published.
    Write,
    /// Both.
    ReadWrite,
    /// Neither, whatever other rules of the same kind say.
    Deny,
}

impl AccessRules {
    /// Rules in the order of their file. Without any, nobody may do anything.
    pub fn new(rules: impl IntoIterator<Item = AccessRule>) -> Self {
        Self { rules: rules.into_iter().collect() }
    }

    /// All rules, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &AccessRule> {
        self.rules.iter()
    }
}
