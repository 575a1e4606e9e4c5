//! Access rules as an `acl_file` has them.

use std::sync::Arc;

use noctule_broker::{Access, AccessRule, AccessRules, Whom};

/// The rules of some lines; of good ones only.
pub(crate) fn acl(lines: &str) -> Option<Arc<AccessRules>> {
    let mut user = Whom::Anonymous;
    let mut rules = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').expect("two words");
        if word == "user" {
            user = Whom::User(rest.to_owned());
            continue;
        }
        let (access, filter) = match rest.split_once(' ') {
            Some(("read", filter)) => (Access::Read, filter),
            Some(("write", filter)) => (Access::Write, filter),
            Some(("readwrite", filter)) => (Access::ReadWrite, filter),
            Some(("deny", filter)) => (Access::Deny, filter),
            Some(_) => panic!("{line}"),
            None => (Access::ReadWrite, rest),
        };
        let whom = if word == "pattern" { Whom::Pattern } else { user.clone() };
        rules.push(AccessRule { whom, access, filter: filter.to_owned() });
    }
    Some(Arc::new(AccessRules::new(rules)))
}
